/** What is counted while it happens. All the rest is read when somebody asks (readings.ts). */
import { Counter, Histogram, type Registry } from 'prom-client';
import type { CallMeter, ServiceMeters, WebhookOutcome } from '../service/meters.ts';
import { NO_METERS, WEBHOOK_OUTCOMES } from '../service/meters.ts';

export interface NodeMeters extends ServiceMeters {
  /** The commit log was written and synced. */
  flushed(durationMs: number): void;
}

export const NO_NODE_METERS: NodeMeters = Object.freeze({ ...NO_METERS, flushed() {} });

const CALL_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];
const FLUSH_SECONDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

export function createMeters(registry: Registry): NodeMeters {
  const registers = [registry];
  const counter = (name: string, help: string): Counter => new Counter({ name, help, registers });
  const storedMessages = counter('holdfast_stored_messages_total', 'New messages of Produce, here');
  const storedBytes = counter('holdfast_stored_bytes_total', 'Their bytes');
  const fetchedMessages = counter('holdfast_fetched_messages_total', 'Messages read, here');
  const fetchedBytes = counter('holdfast_fetched_bytes_total', 'Their bytes');
  const pushedMessages = counter('holdfast_pushed_messages_total', 'Messages sent to subscribers');
  const pushedBytes = counter('holdfast_pushed_bytes_total', 'Bytes of their frames');
  const checks = counter('holdfast_checks_delivered_total', 'Check-backs that reached a producer');
  const flushes = new Histogram({
    name: 'holdfast_log_flush_duration_seconds',
    help: 'One write and sync of the commit log',
    buckets: FLUSH_SECONDS,
    registers,
  });
  return {
    of: callMeters(registry),
    stored(messages, bytes) {
      storedMessages.inc(messages);
      storedBytes.inc(bytes);
    },
    fetched(messages, bytes) {
      fetchedMessages.inc(messages);
      fetchedBytes.inc(bytes);
    },
    pushed(messages, bytes) {
      pushedMessages.inc(messages);
      pushedBytes.inc(bytes);
    },
    checked: (count) => checks.inc(count),
    webhookAnswered: webhookMeter(registry),
    flushed: (durationMs) => flushes.observe(durationMs / 1000),
  };
}

/** Bounded: methods are those of the proto, outcomes `ok` and the reasons of status.ts. */
function callMeters(registry: Registry): (path: string) => CallMeter {
  const registers = [registry];
  const calls = new Counter({
    name: 'holdfast_calls_total',
    help: "Clients' calls that were answered, and requests on a ProduceStream",
    labelNames: ['method', 'outcome'],
    registers,
  });
  const durations = new Histogram({
    name: 'holdfast_call_duration_seconds',
    help: 'From the request to the answer, waiting and other nodes included',
    labelNames: ['method'],
    buckets: CALL_SECONDS,
    registers,
  });
  return (path) => {
    const method = shortName(path);
    const duration = durations.labels(method);
    const outcomes = new Map<string, Counter.Internal>();
    return {
      answered(outcome, durationMs) {
        duration.observe(durationMs / 1000);
        let count = outcomes.get(outcome);
        if (count === undefined) {
          count = calls.labels(method, outcome);
          outcomes.set(outcome, count);
        }
        count.inc();
      },
    };
  };
}

/** `/holdfast.v1.Log/Produce` → `Log/Produce`. */
function shortName(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}

/** All outcomes from the start: an alert cannot see the first step of what was not there. */
function webhookMeter(registry: Registry): (outcome: WebhookOutcome) => void {
  const answers = new Counter({
    name: 'holdfast_webhook_answers_total',
    help: 'Check-backs over HTTP, by what became of them',
    labelNames: ['outcome'],
    registers: [registry],
  });
  for (const outcome of WEBHOOK_OUTCOMES) answers.inc({ outcome }, 0);
  return (outcome) => answers.inc({ outcome });
}
