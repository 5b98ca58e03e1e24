import { expect, it } from 'vitest';
import { HoldfastError } from '../../../src/client/errors.ts';
import { pollLoop } from '../../../src/client/poll-loop.ts';

const busy = new HoldfastError({ code: 'UNAVAILABLE', message: 'busy', retryable: true });
const denied = new HoldfastError({ code: 'PERMISSION_DENIED', message: 'denied' });

/** Each poll throws the next of these, and the last one stops the loop, however it ends. */
async function polled(...outcomes: (Error | undefined)[]) {
  const stop = new AbortController();
  const told: unknown[] = [];
  let polls = 0;
  const poll = async (): Promise<void> => {
    const outcome = outcomes[polls++];
    if (polls === outcomes.length) stop.abort();
    if (outcome !== undefined) throw outcome;
  };
  await pollLoop(poll, stop.signal, (error) => told.push(error)).catch((error: unknown) =>
    told.push('ended by', error),
  );
  return { polls, told };
}

it('polls again and again, until it is stopped', async () => {
  expect(await polled(undefined, undefined, undefined)).toEqual({ polls: 3, told: [] });
});

it('repeats what may succeed later, and tells of it', async () => {
  expect(await polled(busy, busy, undefined)).toEqual({ polls: 3, told: [busy, busy] });
});

it('ends with an error that repeating would not cure', async () => {
  expect(await polled(busy, denied, undefined)).toEqual({
    polls: 2,
    told: [busy, denied, 'ended by', denied],
  });
  const bug = new TypeError('bug');
  expect(await polled(bug, undefined)).toEqual({ polls: 1, told: [bug, 'ended by', bug] });
});

it('says nothing of a poll that was broken off by the stop', async () => {
  expect(await polled(denied)).toEqual({ polls: 1, told: [] });
});

it('does not begin where it was stopped before', async () => {
  let polls = 0;
  const poll = async () => void polls++;
  await pollLoop(poll, AbortSignal.abort(), () => undefined);
  expect(polls).toBe(0);
});

it('waits between failures, at least as long as the server says', async () => {
  const stop = new AbortController();
  const hint = { code: 'UNAVAILABLE', message: '', retryable: true, retryAfterMs: 40 } as const;
  let polls = 0;
  const beganAtMs = performance.now();
  await pollLoop(
    async () => {
      if (++polls === 4) stop.abort();
      throw new HoldfastError(hint);
    },
    stop.signal,
    () => undefined,
  );
  expect(performance.now() - beganAtMs).toBeGreaterThanOrEqual(3 * 39);
});
