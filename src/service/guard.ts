/**
 * Stands before every call once the cluster asks who calls: finds the caller, and ends what is
 * open when its caller may not go on: on an event, never by polling.
 */

import type { PeerCertificate } from 'node:tls';
import type { Metadata } from '@grpc/grpc-js';
import { OWNERS_LEVEL } from '../broker/feature-level.ts';
import { Access } from '../security/access.ts';
import { type Allowance, Allowances } from '../security/allowance.ts';
import { Authenticator } from '../security/authenticator.ts';
import { Caller, type CallerParts } from '../security/caller.ts';
import { type Principal, principalOf } from '../security/principal.ts';
import type { SecurityLog } from '../security/security-log.ts';
import type { TokenKeys } from '../security/token-keys.ts';
import type { ShardHost } from '../shards/api.ts';
import { type CallError, toCallError } from '../status.ts';
import type { DeadlineClock, Deadlines, Expiring } from './deadlines.ts';
import type { ServiceMeters } from './meters.ts';

/** How callers prove who they are. */
export interface AuthOptions {
  readonly admins: ReadonlySet<string>;
  readonly maxTokenLifetimeMs: number;
  /** A certificate of the CA that the client port asks for names its principal. */
  readonly takesCertificates: boolean;
  readonly keys: { readonly current: TokenKeys; onChange(listener: () => void): void };
}

export interface GuardParts {
  readonly clusterId: string;
  readonly host: Pick<ShardHost, 'meta' | 'onApplied'>;
  readonly clock: DeadlineClock;
  readonly deadlines: Deadlines;
  readonly log: SecurityLog;
  readonly meters: ServiceMeters;
}

/** What grpc-js tells of a call. */
export interface GuardedCall {
  readonly metadata: Metadata;
  getPeer(): string;
  getAuthContext(): { readonly sslPeerCertificate?: PeerCertificate } | null;
}

interface Watched extends Expiring {
  readonly caller: Caller;
  readonly end: (error: CallError) => void;
  lookAtMs: number;
}

const META_SHARD = 0;
/** A timer holds no more than that; and clocks are set. */
const LOOK_AT_LATEST_MS = 3_600_000;
/** Principals whose rules are kept put together. */
const MAX_ACCESSES = 10_000;

export class Guard implements CallerParts {
  readonly #parts: GuardParts;
  readonly #options: AuthOptions;
  readonly #authenticator: Authenticator;
  readonly #accesses = new Map<string, Access>();
  readonly #allowances: Allowances;
  #accessVersion = -1;
  /** Of the rules when what is open was looked at last: a call may know newer ones before. */
  #lookedAtVersion = -1;
  readonly #watched = new Set<Watched>();
  readonly #unsubscribe: () => void;

  constructor(options: AuthOptions, parts: GuardParts) {
    const { clock, clusterId, host, meters } = parts;
    this.#parts = parts;
    this.#options = options;
    const { admins, keys, maxTokenLifetimeMs } = options;
    this.#authenticator = new Authenticator({
      ...{ clusterId, admins, maxTokenLifetimeMs, nowMs: Date.now },
      keys: () => keys.current,
      access: () => host.meta().access(),
    });
    this.#allowances = new Allowances({
      quotas: () => host.meta().quotas(),
      nowMs: () => clock.nowMs(),
      exceeded: (rate) => meters.quotaReached(rate),
    });
    keys.onChange(() => {
      this.#authenticator.forget();
      this.#lookAgain();
    });
    this.#unsubscribe = host.onApplied((shard) => {
      if (shard === META_SHARD && this.#lookedAtVersion !== this.#version) this.#lookAgain();
    });
  }

  close(): void {
    this.#unsubscribe();
    for (const watched of [...this.#watched]) this.#forget(watched);
  }

  /** `done` is called at once where the caller's token is known. */
  identify(
    grpcCall: GuardedCall,
    path: string,
    done: (error: CallError | undefined, caller: Caller | undefined) => void,
  ): void {
    const source = grpcCall.getPeer();
    const refuse = (thrown: unknown) => {
      const error = toCallError(thrown);
      this.#parts.log.refused({ principal: '', source, call: path }, error);
      done(error, undefined);
    };
    const found = (principal: Principal) =>
      done(undefined, new Caller(this, principal, path, source));
    let principal: Principal | Promise<Principal>;
    try {
      principal = this.#authenticator.identify({
        authorization: grpcCall.metadata.get('authorization')[0]?.toString(),
        certificateName: () => this.#nameIn(grpcCall),
      });
    } catch (error) {
      refuse(error);
      return;
    }
    if (principal instanceof Promise) principal.then(found, refuse);
    else found(principal);
  }

  /** Ends what is open as soon as its caller may not go on. Returns the way out. */
  watch(caller: Caller, end: (error: CallError) => void): () => void {
    const expire = () => {
      this.#look(watched);
      if (this.#watched.has(watched)) this.#lookAtExpiry(watched);
    };
    const watched: Watched = { caller, end, expire, lookAtMs: 0 };
    this.#watched.add(watched);
    this.#lookAtExpiry(watched);
    return () => this.#forget(watched);
  }

  get namesOwners(): boolean {
    return this.#parts.host.meta().featureLevel() >= OWNERS_LEVEL;
  }

  accessOf({ isAdmin, name }: Principal): Access {
    const rules = this.#parts.host.meta().access();
    if (this.#accessVersion !== rules.version || this.#accesses.size >= MAX_ACCESSES) {
      this.#accesses.clear();
      this.#accessVersion = rules.version;
    }
    const known = this.#accesses.get(name);
    if (known !== undefined) return known;
    const access = new Access(rules, name, isAdmin);
    this.#accesses.set(name, access);
    return access;
  }

  allowanceOf({ isAdmin, name }: Principal): Allowance | undefined {
    return isAdmin ? undefined : this.#allowances.of(name);
  }

  refusal(principal: Principal): CallError | undefined {
    return this.#authenticator.refusal(principal);
  }

  changes({ path, principal, source }: Caller): void {
    this.#parts.log.changed({ principal: principal.name, source, call: path });
  }

  denied({ path, principal, source }: Caller, error: CallError): void {
    this.#parts.log.refused({ principal: principal.name, source, call: path }, error);
  }

  get #version(): number {
    return this.#parts.host.meta().access().version;
  }

  #nameIn(grpcCall: GuardedCall): string | undefined {
    if (!this.#options.takesCertificates) return undefined;
    const certificate = grpcCall.getAuthContext()?.sslPeerCertificate;
    const { subjectaltname: subjectAltName } = certificate ?? {};
    return principalOf(this.#parts.clusterId, { subjectAltName });
  }

  #lookAgain(): void {
    this.#lookedAtVersion = this.#version;
    for (const watched of [...this.#watched]) this.#look(watched);
  }

  #look(watched: Watched): void {
    const refused = watched.caller.refusal();
    if (refused === undefined || !this.#watched.has(watched)) return;
    this.#forget(watched);
    this.denied(watched.caller, refused);
    watched.end(refused);
  }

  #lookAtExpiry(watched: Watched): void {
    const { token } = watched.caller.principal;
    if (token === undefined) return;
    const { clock, deadlines } = this.#parts;
    const leftMs = Math.max(0, token.expiresAtMs - Date.now()) + 1;
    watched.lookAtMs = clock.nowMs() + Math.min(leftMs, LOOK_AT_LATEST_MS);
    deadlines.add(watched.lookAtMs, watched);
  }

  #forget(watched: Watched): void {
    this.#watched.delete(watched);
    this.#parts.deadlines.remove(watched.lookAtMs, watched);
  }
}
