// Dancers who listen on a WebSocket and react: plain stages, chosen from three loads by SCENARIO.
import ws from 'k6/ws';
import { check, sleep } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';

const WS_URL = __ENV.WS_URL || 'wss://staging.example.org/ws';
const SESSION = __ENV.SESSION_ID || 'load-test-session';
const CHOSEN = __ENV.SCENARIO || 'standard';

const latency = new Trend('ws_message_latency', true);
const received = new Counter('ws_messages_received');
const sent = new Counter('ws_messages_sent');
const connected = new Rate('ws_connection_success');

const LOADS = {
  standard: {
    stages: [
      { duration: '2m', target: 100 },
      { duration: '8m', target: 100 },
      { duration: '1m', target: 0 },
    ],
    thresholds: { ws_message_latency: ['p(95)<500'], ws_connection_success: ['rate>0.99'] },
    holdMs: 11 * 60 * 1000,
  },
  stress: {
    stages: [{ duration: '5m', target: 500 }, { duration: '10m', target: 500 }, { duration: '2m', target: 0 }],
    thresholds: { ws_connection_success: ['rate>0.90'] },
    holdMs: 17 * 60 * 1000,
  },
};
const load = LOADS[CHOSEN];

export const options = { stages: load.stages, thresholds: load.thresholds };

export default function () {
  const client = `load-dancer-${__VU}-${__ITER}`;
  const answer = ws.connect(WS_URL, { headers: { 'X-Client': 'load-test' } }, (socket) => {
    socket.on('open', () => {
      connected.add(true);
      socket.send(JSON.stringify({ type: 'SUBSCRIBE', sessionId: SESSION, clientId: client }));
      sent.add(1);
    });
    socket.on('message', (text) => {
      const msg = JSON.parse(text);
      received.add(1);
      if (msg.serverTime) latency.add(Date.now() - msg.serverTime);
      switch (msg.type) {
        case 'NOW_PLAYING':
          if (Math.random() < 0.5) {
            sleep(Math.random() * 2);
            socket.send(JSON.stringify({ type: 'SEND_LIKE', payload: { track: { title: msg.track.title } } }));
          }
          break;
        case 'POLL_STARTED':
          socket.send(JSON.stringify({ type: 'VOTE_ON_POLL', pollId: msg.pollId, optionIndex: 0, clientId: client }));
          break;
      }
    });
    socket.setTimeout(() => socket.close(), load.holdMs);
  });
  check(answer, { 'WebSocket connected': (r) => r && r.status === 101 });
}
