/* Visitors who call an agent over Socket.IO, at a constant rate. */
import ws from 'k6/ws';
import { check, sleep } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';

const SERVER_URL = __ENV.SERVER_URL || 'ws://localhost:3001';
const ORG_ID = __ENV.ORG_ID || 'test-org';
const RATE = parseInt(__ENV.CALL_RATE || '10');
const DURATION = __ENV.TEST_DURATION || '2m';

const connectionTime = new Trend('ws_connection_time', true);
const requestTime = new Trend('call_request_time', true);
const requested = new Counter('calls_requested');
const connectionSuccess = new Rate('ws_connection_success_rate');

export const options = {
  scenarios: {
    call_burst: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      timeUnit: '1s',
      duration: DURATION,
      preAllocatedVUs: 50,
      maxVUs: 200,
    },
  },
  thresholds: {
    ws_connection_time: ['p(95)<2000'],
    call_request_time: ['p(95)<5000'],
    calls_requested: ['count>0'],
    ws_connection_success_rate: ['rate>0.95'],
  },
};

export default function () {
  const visitorId = 'visitor-' + Math.random().toString(36).slice(2);
  const url = `${SERVER_URL}/socket.io/?EIO=4&transport=websocket`;
  const started = Date.now();
  const answer = ws.connect(url, { timeout: '10s' }, function (socket) {
    socket.on('open', function () {
      connectionTime.add(Date.now() - started);
      socket.send('40');
    });
    socket.on('message', function (frame) {
      if (frame === '2') socket.send('3');
      if (frame.startsWith('40')) {
        connectionSuccess.add(1);
        socket.send('42' + JSON.stringify(['visitor:join', { visitorId: visitorId, orgId: ORG_ID, pageUrl: '/load-test' }]));
      }
      if (frame.includes('"agent:assigned"')) {
        socket.send(`42${JSON.stringify(['call:request', { agentId: 'agent', visitorName: `User ${__VU}` }])}`);
        requested.add(1);
      }
      if (frame.includes('"call:accepted"')) requestTime.add(Date.now() - started);
    });
    socket.setTimeout(() => socket.close(), 3000);
  });
  check(answer, { 'WebSocket connected (status 101)': (r) => r && r.status === 101 });
  sleep(1);
}
