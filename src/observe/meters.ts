/** What is counted while it happens. All the rest is read when somebody asks (readings.ts). */
import { Counter, type Registry } from 'prom-client';
import { QUOTA_NAMES, type QuotaName } from '../cluster/quota-api.ts';
import type {
  CallMeter,
  ConnectionRefusal,
  ServiceMeters,
  WebhookOutcome,
} from '../service/meters.ts';
import { CONNECTION_REFUSALS, NO_METERS, WEBHOOK_OUTCOMES } from '../service/meters.ts';
import { countTally, DurationTally, TalliedHistogram, type Tally } from './tallies.ts';

export interface NodeMeters extends ServiceMeters {
  /** The commit log was written and synced. */
  flushed(durationMs: number): void;
}

export const NO_NODE_METERS: NodeMeters = Object.freeze({ ...NO_METERS, flushed() {} });

const CALL_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];
const FLUSH_SECONDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

export function createMeters(registry: Registry): NodeMeters {
  const tally = (name: string, help: string): Tally => countTally(registry, { name, help });
  const storedMessages = tally('holdfast_stored_messages_total', 'New messages of Produce, here');
  const storedBytes = tally('holdfast_stored_bytes_total', 'Their bytes');
  const fetchedMessages = tally('holdfast_fetched_messages_total', 'Messages read, here');
  const fetchedBytes = tally('holdfast_fetched_bytes_total', 'Their bytes');
  const pushedMessages = tally('holdfast_pushed_messages_total', 'Messages sent to subscribers');
  const pushedBytes = tally('holdfast_pushed_bytes_total', 'Bytes of their frames');
  const checks = tally('holdfast_checks_delivered_total', 'Check-backs that reached a producer');
  const flushes = new DurationTally(FLUSH_SECONDS);
  const declared = {
    name: 'holdfast_log_flush_duration_seconds',
    help: 'One write and sync of the commit log',
  };
  new TalliedHistogram(registry, declared, () => [[{}, flushes]]);
  return {
    of: callMeters(registry),
    stored(messages, bytes) {
      storedMessages.count += messages;
      storedBytes.count += bytes;
    },
    fetched(messages, bytes) {
      fetchedMessages.count += messages;
      fetchedBytes.count += bytes;
    },
    pushed(messages, bytes) {
      pushedMessages.count += messages;
      pushedBytes.count += bytes;
    },
    checked(count) {
      checks.count += count;
    },
    webhookAnswered: webhookMeter(registry),
    quotaReached: quotaMeter(registry),
    connectionRefused: connectionMeter(registry),
    flushed: (durationMs) => flushes.add(durationMs / 1000),
  };
}

interface MethodTally {
  readonly durations: DurationTally;
  readonly outcomes: Map<string, Tally>;
}

/** Bounded: methods are those of the proto, outcomes `ok` and the reasons of status.ts. */
function callMeters(registry: Registry): (path: string) => CallMeter {
  const methods = new Map<string, MethodTally>();
  new Counter({
    name: 'holdfast_calls_total',
    help: "Clients' calls that were answered, and requests on a ProduceStream",
    labelNames: ['method', 'outcome'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [method, { outcomes }] of methods) {
        for (const [outcome, { count }] of outcomes) this.inc({ method, outcome }, count);
      }
    },
  });
  const declared = {
    name: 'holdfast_call_duration_seconds',
    help: 'From the request to the answer, waiting and other nodes included',
  };
  new TalliedHistogram(registry, declared, () =>
    [...methods].map(([method, { durations }]) => [{ method }, durations] as const),
  );
  return (path) => {
    const own = { durations: new DurationTally(CALL_SECONDS), outcomes: new Map<string, Tally>() };
    return {
      answered(outcome, durationMs) {
        own.durations.add(durationMs / 1000);
        const tally = own.outcomes.get(outcome);
        if (tally !== undefined) tally.count += 1;
        else {
          own.outcomes.set(outcome, { count: 1 });
          // Only now: what was never called is not shown.
          methods.set(shortName(path), own);
        }
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

/** By quota, and not by principal: of those there may be thousands. */
function quotaMeter(registry: Registry): (quota: QuotaName) => void {
  const reached = new Counter({
    name: 'holdfast_quota_reached_total',
    help: 'Requests refused and subscriptions that had to wait, by the quota that was used up',
    labelNames: ['quota'],
    registers: [registry],
  });
  for (const quota of QUOTA_NAMES) reached.inc({ quota }, 0);
  return (quota) => reached.inc({ quota });
}

function connectionMeter(registry: Registry): (why: ConnectionRefusal) => void {
  const refused = new Counter({
    name: 'holdfast_connections_refused_total',
    help: 'Connections of clients that were closed before a call, by the limit, or by TLS',
    labelNames: ['why'],
    registers: [registry],
  });
  for (const why of CONNECTION_REFUSALS) refused.inc({ why }, 0);
  return (why) => refused.inc({ why });
}
