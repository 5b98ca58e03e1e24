import { describe, expect, it } from 'vitest';
import type { Contact, Identity } from '../../../src/cluster/identity.ts';
import { KnownPeers } from '../../../src/cluster/known-peers.ts';
import { createMetaState } from '../../../src/cluster/meta-state.ts';
import { Roster, type RosterCommand } from '../../../src/cluster/roster.ts';
import { born } from '../../harness/births.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

const contact = (node: number, incarnation = `i${node}`): Contact => ({
  node,
  incarnation,
  peerAddress: `10.0.0.${node}:7500`,
});

function known(contacts: readonly Contact[] = [], node = 1) {
  const roster = Object.assign(new Roster(born(3, 1)), { featureLevel: () => 1 });
  const rows = new MemoryRows();
  const identity = { ...born(3, 1), node, contacts } as unknown as Identity;
  const configured = new Map([
    [2, { host: 'two', port: 2 }],
    [9, { host: 'nine', port: 9 }],
  ]);
  const peers = new KnownPeers(identity, configured, roster);
  return { peers, apply: (command: RosterCommand) => roster.apply(command, rows), roster };
}

const added = (node: number, incarnation: string): RosterCommand => ({
  type: 'addMember',
  ...{ node, incarnation, grpcAddress: 'g:1', peerAddress: `four:${node}` },
});

describe('who is let in', () => {
  it('members with their directory; others are told why not, and what to do', () => {
    const { peers, apply } = known();
    expect(peers.nodes()).toEqual([2, 3, 9]);
    expect(peers.objection(3, 'i3')).toBeUndefined();
    expect(peers.objection(4, 'i4')).toMatchObject({ reason: 'unknownNode' });
    expect(peers.objection(3, 'wiped')).toMatchObject({
      reason: 'wrongIncarnation',
      why: expect.stringMatching(/cluster remove 3, then holdfast cluster add/),
    });
    apply(added(4, 'i4'));
    expect(peers.objection(4, 'i4')).toBeUndefined();
    expect(peers.nodes()).toEqual([2, 3, 4, 9]);
  });

  it('a directory that was removed is not, also when a new one has its number', () => {
    const { peers, apply, roster } = known([contact(3)]);
    apply({ type: 'removeMember', node: 3 });
    expect(peers.objection(3, 'i3')).toBeUndefined();
    for (let round = 0; round < 2; round++) {
      for (const { shard, version } of roster.placements()) {
        apply({ type: 'placed', shard, version });
      }
    }
    expect(peers.objection(3, 'i3')).toMatchObject({ reason: 'removed' });
    expect(peers.nodes()).toEqual([2, 9]);
    apply(added(3, 'j3'));
    expect(peers.objection(3, 'j3')).toBeUndefined();
    expect(peers.objection(3, 'i3')).toMatchObject({ reason: 'removed' });
  });

  it('one that joined while this node was away, if its configuration names it', () => {
    const { peers, apply, roster } = known();
    expect(peers.objection(9, 'i9')).toBeUndefined();
    expect(peers.addressOf(9)).toEqual({ host: 'nine', port: 9 });
    apply(added(9, 'j9'));
    expect(peers.objection(9, 'i9')).toMatchObject({ reason: 'wrongIncarnation' });
    apply({ type: 'removeMember', node: 9 });
    for (let round = 0; round < 2; round++) {
      for (const { shard, version } of roster.placements()) {
        apply({ type: 'placed', shard, version });
      }
    }
    expect(peers.objection(9, 'j9')).toMatchObject({ reason: 'removed' });
    expect(peers.objection(9, 'i9')).toMatchObject({ reason: 'unknownNode' });
    expect(peers.nodes()).toEqual([2, 3]);
  });

  it('a node that was just added knows whom it was told of, before it has any metadata', () => {
    const { peers } = known([contact(1, 'new'), contact(6)], 7);
    expect(peers.nodes()).toEqual([1, 2, 3, 6, 9]);
    expect(peers.objection(6, 'i6')).toBeUndefined();
    expect(peers.objection(1, 'new')).toBeUndefined();
    expect(peers.addressOf(6)).toEqual({ host: '10.0.0.6', port: 7500 });
  });
});

describe('a stranger', () => {
  it('is let in when other members say that it belongs here, and asked about when not', () => {
    const { peers } = known();
    let asked = 0;
    peers.onStranger = () => {
      asked += 1;
    };
    expect(peers.objection(4, 'i4')).toMatchObject({ reason: 'unknownNode' });
    expect(peers.objection(3, 'new')).toMatchObject({ reason: 'wrongIncarnation' });
    expect(asked).toBe(2);
    peers.learn([contact(4), contact(3, 'new')]);
    expect(peers.objection(4, 'i4')).toBeUndefined();
    expect(peers.objection(3, 'new')).toBeUndefined();
    expect(peers.objection(4, 'another')).toMatchObject({ reason: 'wrongIncarnation' });
    expect(peers.nodes()).toEqual([2, 3, 4, 9]);
    expect(peers.addressOf(4)).toEqual({ host: '10.0.0.4', port: 7500 });
  });

  it('that was removed here stays out, whatever others say', () => {
    const { peers, apply, roster } = known();
    apply({ type: 'removeMember', node: 3 });
    for (let round = 0; round < 2; round++) {
      for (const { shard, version } of roster.placements()) {
        apply({ type: 'placed', shard, version });
      }
    }
    peers.learn([contact(3)]);
    expect(peers.objection(3, 'i3')).toMatchObject({ reason: 'removed' });
    expect(peers.nodes()).not.toContain(3);
  });
});

describe('where they are', () => {
  it('as configured, else as registered', () => {
    const { peers, apply } = known();
    expect(peers.addressOf(2)).toEqual({ host: 'two', port: 2 });
    expect(peers.addressOf(3)).toBeUndefined();
    apply(added(4, 'i4'));
    expect(peers.addressOf(4)).toEqual({ host: 'four', port: 4 });
  });
});

it('the metadata answers the same questions', () => {
  const meta = createMetaState(born(2, 1));
  const identity = { ...born(2, 1), node: 1, contacts: [] } as unknown as Identity;
  expect(new KnownPeers(identity, new Map(), meta).nodes()).toEqual([2]);
});
