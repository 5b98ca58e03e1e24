import { expect, test } from 'vitest';
import { DEFAULT_RAFT_CONFIG, validateRaftConfig } from '../../raft/config.ts';

test('the defaults are valid and frozen', () => {
  expect(validateRaftConfig(DEFAULT_RAFT_CONFIG)).toBe(DEFAULT_RAFT_CONFIG);
  expect(Object.isFrozen(DEFAULT_RAFT_CONFIG)).toBe(true);
});

test.each([
  [{ electionTimeoutMs: 449 }, /electionTimeoutMs/],
  [{ earlyJitterMs: 31 }, /earlyJitterMs/],
  [{ maxAppendBytes: 17 * 1024 * 1024 }, /maxAppendBytes/],
  [{ maxInflightAppends: 0 }, /maxInflightAppends/],
  [{ heartbeatIntervalMs: 1.5 }, /heartbeatIntervalMs/],
  [{ maxTailBytes: -1 }, /maxTailBytes/],
  [{ maxUncommittedBytes: 1024 }, /maxUncommittedBytes/],
])('refuses %j', (change, message) => {
  expect(() => validateRaftConfig({ ...DEFAULT_RAFT_CONFIG, ...change })).toThrow(message);
});

test('accepts the boundary', () => {
  const edge = { ...DEFAULT_RAFT_CONFIG, electionTimeoutMs: 450, earlyJitterMs: 30 };
  expect(validateRaftConfig(edge)).toBe(edge);
});
