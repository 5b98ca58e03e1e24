/** Members and placement: proposals to the metadata shard; the shards' leaders do the rest. */

import { parseAddress } from '../address.ts';
import { NEWEST_LEVEL } from '../broker/feature-level.ts';
import type { MemberView, MetaCommand, MetaResult } from '../cluster/api.ts';
import type { Birth } from '../cluster/birth-placement.ts';
import { encodeMetaCommand } from '../cluster/meta-codec.ts';
import { MEMBERS_METHOD } from '../cluster/run-members.ts';
import { checkedNumber } from '../convert.ts';
import type { PeerNetwork } from '../peers/api.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { ask, step } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import { encodeJson, type Proposed } from './internal-methods.ts';
import type { NodeMethod } from './methods.ts';
import { metaError } from './refusals.ts';

const META_SHARD = 0;
/** As `node` in a configuration. */
const NODE_MAX = 10_000;
const INCARNATION = /^[0-9a-zA-Z-]{1,64}$/;

/** What a directory of this cluster was given at birth. */
export interface ClusterBirth extends Birth {
  readonly clusterId: string;
  readonly createdAtMs: number;
}

export interface AddMemberRequest {
  readonly node: number;
  readonly incarnation: string;
  readonly grpc_address: string;
  readonly peer_address: string;
}

export class MemberCalls {
  readonly #parts: ExecutorParts;
  readonly #peers: PeerNetwork;
  readonly #birth: ClusterBirth;

  constructor(parts: ExecutorParts, peers: PeerNetwork, birth: ClusterBirth) {
    this.#parts = parts;
    this.#peers = peers;
    this.#birth = birth;
  }

  /** Of this node's own replica of the metadata, for nodes that know less. */
  get method(): NodeMethod {
    const { host } = this.#parts;
    return {
      name: MEMBERS_METHOD,
      perform: (_call, _body, done) => done(undefined, encodeJson(host.meta().members())),
    };
  }

  async describe(call: Call): Promise<object> {
    await this.#catchUp(call);
    const { clusterId, createdAtMs, dataShards, members } = this.#birth;
    const { featureLevel = NEWEST_LEVEL, replicationFactor } = this.#birth;
    return {
      cluster_id: clusterId,
      members: this.#parts.host.meta().members().map(memberFields),
      data_shards: dataShards,
      replication_factor: replicationFactor,
      born: members.map(({ node, incarnation }) => ({ node, incarnation })),
      created_at_ms: createdAtMs,
      born_at_level: featureLevel,
    };
  }

  async add(call: Call, request: AddMemberRequest): Promise<object> {
    const node = checkedNode(request.node);
    const { incarnation } = request;
    if (!INCARNATION.test(incarnation)) {
      throw new CallError('INVALID_REQUEST', 'incarnation: 1 to 64 letters, digits or dashes');
    }
    const grpcAddress = checkedAddress('grpc_address', request.grpc_address);
    const peerAddress = checkedAddress('peer_address', request.peer_address);
    await this.#propose(call, { type: 'addMember', node, incarnation, grpcAddress, peerAddress });
    return {};
  }

  async remove(call: Call, request: { readonly node: number }): Promise<object> {
    const node = checkedNode(request.node);
    await this.#catchUp(call);
    this.#assertMajorityRemains(node);
    await this.#propose(call, { type: 'removeMember', node });
    return {};
  }

  async transfer(call: Call, request: { shard: number; node: number }): Promise<object> {
    const shard = checkedNumber('shard', request.shard);
    const node = checkedNode(request.node);
    await this.#propose(call, { type: 'setLeader', shard, node });
    return {};
  }

  async rebalance(call: Call): Promise<object> {
    await this.#propose(call, { type: 'rebalance' });
    return {};
  }

  /** Otherwise the change could not even be written once the node is gone. */
  #assertMajorityRemains(node: number): void {
    const { host } = this.#parts;
    const members = host.meta().members();
    // Unknown, leaving or the last one: the metadata says so.
    if (members.find((one) => one.node === node)?.state !== 'member') return;
    const remaining = members.filter((one) => one.state === 'member' && one.node !== node);
    const isUp = (one: MemberView) => one.node === host.node || this.#peers.isUp(one.node);
    const up = remaining.filter(isUp);
    if (up.length > remaining.length / 2 || remaining.length === 0) return;
    const down = remaining.filter((one) => !isUp(one)).map((one) => one.node);
    throw new CallError(
      'QUORUM_AT_RISK',
      `without node ${node}, ${down.length} of ${remaining.length} nodes would be down ` +
        `(${down.join(', ')}): start them, or remove those first`,
    );
  }

  async #propose(call: Call, command: MetaCommand): Promise<void> {
    const { methods, router } = this.#parts;
    const head = encodeMetaCommand(command);
    const proposed = await ask<Proposed>(router, call, methods.propose, META_SHARD, head);
    const result = proposed.result as MetaResult;
    if (result.type === 'refused') throw metaError(result, '');
    // Whoever asks this node how far it is must not be told of before.
    await this.#catchUp(call);
  }

  #catchUp(call: Call): Promise<void> {
    return step((done) => this.#parts.topics.catchUp(call, (error) => done(error, undefined)));
  }
}

function memberFields(member: MemberView): object {
  return {
    node: member.node,
    incarnation: member.incarnation,
    grpc_address: member.grpcAddress,
    peer_address: member.peerAddress,
    state: member.state,
  };
}

function checkedNode(given: number): number {
  const node = checkedNumber('node', given, NODE_MAX);
  if (node > 0) return node;
  throw new CallError('INVALID_REQUEST', 'node: the number of a node, from 1');
}

function checkedAddress(field: string, text: string): string {
  if (parseAddress(text) !== undefined) return text;
  throw new CallError('INVALID_REQUEST', `${field}: must be host:port`);
}
