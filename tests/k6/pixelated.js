// People who ask a model over REST, one request after the other.
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';

export const errors = new Rate('errors');
export const inferenceLatency = new Trend('inference_latency', true);
export const successfulInferences = new Counter('successful_inferences');

export const options = {
  stages: [
    { duration: '30s', target: 10 }, // warm up
    { duration: '1m', target: 25 },
    { duration: '2m', target: 50 },
    { duration: '1m', target: 100 },
    { duration: '30s', target: 0 },
  ],
  thresholds: {
    http_req_duration: ['p(50)<200', 'p(95)<500', 'p(99)<1000'],
    http_req_failed: ['rate<0.01'],
    errors: ['rate<0.01'],
    inference_latency: ['p(50)<200', 'p(95)<500'],
  },
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)'],
};

const API_URL = __ENV.API_URL || 'http://localhost:5173';
const ENDPOINT = `${API_URL}/api/ai/infer`;
const TEXTS = ['I had a long day', "I don't sleep well", `Today was "fine"`];
const pick = (list) => list[Math.floor(Math.random() * list.length)];

export function setup() {
  const health = http.get(`${API_URL}/health`);
  check(health, { 'health check passed': (r) => r.status === 200 });
}

export default function () {
  const payload = JSON.stringify({
    text: pick(TEXTS),
    sessionId: `test-session-${Date.now()}-${Math.random().toString(36).substring(2, 11)}`,
    contextType: 'therapeutic',
    streaming: false,
  });
  const before = Date.now();
  const response = http.post(ENDPOINT, payload, { headers: { 'Content-Type': 'application/json' }, timeout: '30s' });
  inferenceLatency.add(Date.now() - before);
  const ok = check(response, {
    'status is 200': (r) => r.status === 200,
    'latency < 200ms': (r) => r.timings.duration < 200,
  });
  if (ok) {
    successfulInferences.add(1);
  } else {
    errors.add(1);
  }
  sleep(Math.random() * 3 + 2);
}
