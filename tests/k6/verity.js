// People who join a queue and leave it again, by stages that the environment changes.
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Rate, Trend } from 'k6/metrics';

const BASE_URL = (__ENV.BASE_URL || 'http://localhost:3000').trim();
const PEAK = parseInt(__ENV.USERS || '10000', 10);
const THINK_MIN = Number(__ENV.THINK_TIME_MIN || 1);
const THINK_MAX = Number(__ENV.THINK_TIME_MAX || 3);

const joinLatency = new Trend('queue_join_latency', true);
const errorRate = new Rate('error_rate');

export const options = {
  stages: [
    { duration: __ENV.RAMP_UP || '5m', target: PEAK },
    { duration: __ENV.HOLD || '5m', target: PEAK },
    { duration: __ENV.RAMP_DOWN || '2m', target: 0 },
  ],
  thresholds: {
    queue_join_latency: ['p(95)<1000', { threshold: 'p(99)<3000', abortOnFail: true, delayAbortEval: '30s' }],
    http_req_failed: ['rate<0.01'],
    error_rate: ['rate<0.01'],
    'http_req_duration{name:join}': ['p(95)<900'],
  },
};

function post(path, body, name) {
  return http.post(`${BASE_URL}${path}`, JSON.stringify(body), {
    headers: { 'Content-Type': 'application/json' },
    tags: { name },
  });
}

function think() {
  sleep(THINK_MIN + Math.random() * (THINK_MAX - THINK_MIN));
}

export function setup() {
  return { began: Date.now() };
}

export default function (data) {
  const signup = http.post(`${BASE_URL}/auth/signup-anonymous`, JSON.stringify({ displayName: `user-${__VU}`, gender: 'x' }));
  const token = signup.json('accessToken');
  const join = post('/queue/join', { region: 'load', language: 'en', token }, 'join');
  joinLatency.add(join.timings.duration);
  errorRate.add(!check(join, { 'join succeeded': (r) => r.status === 201 }));
  think();
  const left = http.del(`${BASE_URL}/queue/leave/${join.json('queueKey')}`, null, { tags: { name: 'leave' } });
  check(left, { 'leave succeeded': (r) => r.status === 200 });
  think();
}
