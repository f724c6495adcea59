// Three parts of an API at rates of their own, side by side.
import http from "k6/http";
import { check, group, sleep } from "k6";
import { Rate, Trend } from "k6/metrics";

const API_URL = __ENV.API_URL || "https://staging.example.org/api";
const apiLatency = new Trend("api_latency", true);
const apiSuccess = new Rate("api_success");

const base = { timeUnit: "1s", duration: "5m" };

export const options = {
  scenarios: {
    auth_load: { executor: "constant-arrival-rate", ...base, rate: 10, preAllocatedVUs: 20, maxVUs: 100, exec: "authScenario" },
    events_load: {
      executor: "ramping-arrival-rate",
      startRate: 0,
      timeUnit: "1m",
      preAllocatedVUs: 40,
      maxVUs: 200,
      stages: [
        { duration: "2m", target: 125 },
        { duration: "8m", target: 31 },
      ],
      exec: "eventsScenario",
      startTime: "30s",
    },
    pages: { executor: "constant-vus", vus: 5, duration: "30s", exec: "pagesScenario" },
    once: { executor: "per-vu-iterations", vus: 4, iterations: 10, maxDuration: "1m", exec: "pagesScenario" },
  },
  thresholds: {
    api_latency: ["p(95)<300", "p(99)<500"],
    api_success: ["rate>0.99"],
    "http_req_duration{endpoint:auth}": ["p(95)<300"],
    http_req_failed: ["rate<0.01"],
  },
};

function measured(response, name) {
  apiLatency.add(response.timings.duration);
  apiSuccess.add(check(response, { [`${name} is 200`]: (r) => r.status === 200 }));
  return response;
}

export function authScenario() {
  group("login", () => {
    const login = http.post(`${API_URL}/auth/login`, JSON.stringify({ email: "load@example.org", password: __ENV.PASSWORD }), {
      headers: { "Content-Type": "application/json" },
      tags: { endpoint: "auth", name: "login" },
    });
    measured(login, "login");
    sleep(0.5);
    measured(http.get(`${API_URL}/auth/me`, { headers: { Authorization: `Bearer ${login.json("token")}` } }), "me");
  });
}

export function eventsScenario() {
  const list = measured(http.get(`${API_URL}/events?limit=20&page=1`), "list");
  const events = list.json("events");
  const id = events[0].id;
  sleep(0.5);
  measured(http.get(`${API_URL}/events/${id}`), "view");
}

export function pagesScenario() {
  http.request("GET", `${API_URL}/pages`);
  sleep(1);
}
