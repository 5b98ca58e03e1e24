import { describe, expect, test } from 'vitest';
import { Admission } from '../../../src/service/admission.ts';
import { FailedLanes } from '../../../src/service/lanes.ts';
import { decodeMethod, encodeMethod } from '../../../src/service/methods.ts';

const limits = { maxInflightRequestBytes: 100, maxStreams: 2, busyRetryAfterMs: 50 };

describe('admission', () => {
  test('refuses bytes over the bound with a hint, and lets them in again', () => {
    const admission = new Admission(limits);
    expect(admission.enter(60)).toBeUndefined();
    expect(admission.enter(41)).toMatchObject({ reason: 'NODE_BUSY', retryAfterMs: 50 });
    expect(admission.enter(40)).toBeUndefined();
    admission.leave(60);
    expect(admission.enter(41)).toBeUndefined();
    expect(admission).toMatchObject({ inflightBytes: 81, calls: 2 });
  });

  test('one request alone is let in whatever its size', () => {
    expect(new Admission(limits).enter(1_000)).toBeUndefined();
  });

  test('streams are counted; a stopping node takes nothing', () => {
    const admission = new Admission(limits);
    expect([admission.openStream(), admission.openStream()]).toEqual([undefined, undefined]);
    expect(admission.openStream()).toMatchObject({ reason: 'NODE_BUSY' });
    admission.closeStream();
    admission.stop();
    expect(admission.openStream()).toMatchObject({ reason: 'NODE_STOPPING', retryable: true });
    expect(admission.enter(1)).toMatchObject({ reason: 'NODE_STOPPING' });
  });
});

describe('failed lanes', () => {
  test('are remembered per node, the oldest forgotten over the bound', () => {
    const lanes = new FailedLanes(2);
    lanes.add(1, 'a');
    lanes.add(2, 'a');
    expect([lanes.has(1, 'a'), lanes.has(2, 'a'), lanes.has(3, 'a')]).toEqual([true, true, false]);
    lanes.add(1, 'b');
    expect([lanes.has(1, 'a'), lanes.has(1, 'b'), lanes.size]).toEqual([false, true, 2]);
  });
});

describe('method names between nodes', () => {
  test('carry the target; what is no target is none', () => {
    const target = { shard: 3, queueId: 77, queue: 2, variant: 1 };
    const text = encodeMethod('/holdfast.v1.Log/Produce', target);
    expect(decodeMethod(text)).toEqual({ name: '/holdfast.v1.Log/Produce', target });
    expect(decodeMethod('.cluster/status').target).toBeUndefined();
    expect(decodeMethod('/x?1.2.3').target).toBeUndefined();
    expect(decodeMethod('/x?1.2.3.-4').target).toBeUndefined();
  });
});
