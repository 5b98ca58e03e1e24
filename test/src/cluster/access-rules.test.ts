/** Access rules and revocations as every replica of the metadata has them. */
import { describe, expect, it } from 'vitest';
import { EMPTY_BYTES, type Entry, EntryType } from '../../../raft/types.ts';
import {
  type AccessRule,
  MAX_TOKEN_LIFETIME_MS,
  type Verb,
} from '../../../src/cluster/access-api.ts';
import type { MetaCommand, MetaResult, MetaState } from '../../../src/cluster/api.ts';
import { encodeMetaCommand } from '../../../src/cluster/meta-codec.ts';
import { createMetaState, META_LIMITS } from '../../../src/cluster/meta-state.ts';
import { born } from '../../harness/births.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

class Replica {
  rows = new MemoryRows();
  state: MetaState;
  readonly #limits: typeof META_LIMITS;
  #index = 0;
  timeMs = 1000;

  constructor(limits = META_LIMITS) {
    this.#limits = limits;
    this.state = createMetaState(born(3, 4), limits);
  }

  apply(command: MetaCommand): MetaResult {
    this.#index += 1;
    const head = encodeMetaCommand(command);
    const at = { index: this.#index, term: 1, type: EntryType.command, timeMs: this.timeMs };
    const entry: Entry = { ...at, head, payload: EMPTY_BYTES, bodyCrc: 0 };
    return this.state.apply(entry, this.rows);
  }

  /** From what is stored, as after a restart or with a snapshot. */
  restart(): void {
    const rows = [...this.rows.rows()];
    this.state = createMetaState(born(3, 4), this.#limits);
    this.state.load(rows);
  }

  all(): readonly AccessRule[] {
    return this.state.access().after('', 100);
  }
}

function rule(principal: string, name: string, ...verbs: Verb[]): AccessRule {
  return { principal, kind: 'topic', name, isPrefix: false, verbs };
}

function grant(...given: Parameters<typeof rule>): MetaCommand {
  return { type: 'grantAccess', rule: rule(...given) };
}

function revoke(...given: Parameters<typeof rule>): MetaCommand {
  return { type: 'revokeAccess', rule: rule(...given) };
}

describe('rules', () => {
  it('gather verbs, lose them, and are gone with the last one', () => {
    const replica = new Replica();
    replica.apply(grant('app', 'orders', 'fetch'));
    replica.apply(grant('app', 'orders', 'produce', 'fetch'));
    expect(replica.all()).toEqual([rule('app', 'orders', 'produce', 'fetch')]);
    replica.apply(revoke('app', 'orders', 'produce', 'admin'));
    expect([...replica.state.access().of('app')]).toEqual([rule('app', 'orders', 'fetch')]);
    replica.apply(revoke('app', 'orders', 'fetch'));
    expect(replica.all()).toEqual([]);
    expect([...replica.state.access().of('app')]).toEqual([]);
    expect([...replica.rows.rows()]).toEqual([]);
  });

  it('of a prefix, of an exact name and of other principals stand beside each other', () => {
    const replica = new Replica();
    replica.apply(grant('app', 'orders', 'fetch'));
    const prefix = { ...rule('app', 'orders', 'produce'), isPrefix: true };
    replica.apply({ type: 'grantAccess', rule: prefix });
    replica.apply(grant('*', 'orders', 'txn'));
    replica.apply({ type: 'grantAccess', rule: { ...rule('app', 'g', 'commit'), kind: 'group' } });
    expect(replica.all()).toHaveLength(4);
    expect([...replica.state.access().of('app')]).toHaveLength(3);
  });

  it('are bounded, and one that is there may still grow', () => {
    const replica = new Replica({ ...META_LIMITS, maxAccessRules: 1 });
    replica.apply(grant('app', 'orders', 'fetch'));
    const refused = replica.apply(grant('app', 'other', 'fetch'));
    expect(refused).toMatchObject({ type: 'refused', reason: 'TOO_MANY_ACCESS_RULES' });
    expect(replica.apply(grant('app', 'orders', 'txn'))).toEqual({ type: 'done' });
    expect(replica.all()).toEqual([rule('app', 'orders', 'fetch', 'txn')]);
  });

  it('raise the version with every change, also by a snapshot', () => {
    const replica = new Replica();
    const seen = new Set([replica.state.access().version]);
    const look = () => {
      const { version } = replica.state.access();
      expect(seen).not.toContain(version);
      seen.add(version);
    };
    replica.apply(grant('app', 'orders', 'fetch'));
    look();
    replica.apply({ type: 'revokeToken', tokenId: 't' });
    look();
    replica.state.load([]);
    look();
  });
});

describe('revocations', () => {
  it('are of a token, or of what a principal was issued until then', () => {
    const replica = new Replica();
    replica.apply({ type: 'revokeToken', tokenId: 'one' });
    replica.apply({ type: 'revokePrincipal', principal: 'app', issuedUntilMs: 500 });
    replica.apply({ type: 'revokePrincipal', principal: 'app', issuedUntilMs: 400 });
    const access = replica.state.access();
    expect(access.isRevoked('other', 'one', 900)).toBe(true);
    expect(access.isRevoked('app', 'two', 500)).toBe(true);
    expect(access.isRevoked('app', 'two', 501)).toBe(false);
    expect(access.isRevoked('other', 'two', 1)).toBe(false);
  });

  it('are forgotten when no token that they concern can be valid, and bounded until then', () => {
    const replica = new Replica({ ...META_LIMITS, maxRevocations: 2 });
    replica.apply({ type: 'revokeToken', tokenId: 'one' });
    replica.apply({ type: 'revokePrincipal', principal: 'app', issuedUntilMs: 500 });
    const third = { type: 'revokeToken', tokenId: 'three' } as const;
    expect(replica.apply(third)).toMatchObject({ reason: 'TOO_MANY_ACCESS_RULES' });
    replica.timeMs += MAX_TOKEN_LIFETIME_MS;
    expect(replica.apply(third)).toEqual({ type: 'done' });
    expect(replica.state.access().isRevoked('app', '', 500)).toBe(false);
    expect(replica.state.access().isRevoked('', 'one', 0)).toBe(true);
  });
});

describe('a replica that is restarted midway', () => {
  it('ends with the rows and the rules of one that never was', () => {
    const steady = new Replica();
    const restarted = new Replica();
    const commands: MetaCommand[] = [
      grant('b', 'orders', 'fetch', 'produce'),
      grant('a', 'orders', 'admin'),
      { type: 'revokeToken', tokenId: 'one' },
      revoke('b', 'orders', 'fetch'),
      { type: 'revokePrincipal', principal: 'a', issuedUntilMs: MAX_TOKEN_LIFETIME_MS },
      grant('*', '', 'fetch'),
      revoke('a', 'orders', 'admin'),
      { type: 'revokeToken', tokenId: 'two' },
    ];
    for (const [at, command] of commands.entries()) {
      for (const replica of [steady, restarted]) {
        replica.timeMs = 1000 + at * (MAX_TOKEN_LIFETIME_MS / 4);
        replica.apply(command);
      }
      restarted.restart();
      expect([...restarted.rows.rows()]).toEqual([...steady.rows.rows()]);
      expect(restarted.all()).toEqual(steady.all());
    }
    for (const { state } of [steady, restarted]) {
      expect(state.access().isRevoked('', 'one', 0)).toBe(false);
      expect(state.access().isRevoked('', 'two', 0)).toBe(true);
      expect(state.access().isRevoked('a', '', 7)).toBe(true);
    }
  });
});
