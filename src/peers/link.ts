import type { NodeId } from '../../raft/types.ts';
import { Connection } from './connection.ts';
import type { PeerContext } from './context.ts';
import { maxFrameBytes, maxSilenceMs, outboxLimits } from './context.ts';
import type { Frame } from './frame.ts';
import { FrameType } from './frame.ts';
import type { Life } from './gatekeeper.ts';
import type { ConnectionKind, Greeting, Refusal } from './handshake.ts';
import {
  greetingOf,
  readGreeting,
  readRefusal,
  spokenProtocol,
  writeGreeting,
} from './handshake.ts';
import { MalformedFrameError } from './malformed.ts';
import type { Outbox } from './outbox.ts';
import type { HostPort, PeerProof } from './transport.ts';

const MAX_SHORT_LIVES = 3;

export interface LinkEvents {
  /** `protocol`: what both sides know. */
  onUp(outbox: Outbox, protocol: number): void;
  onDown(reason: string): void;
  /** A frame after the handshake; may throw a `MalformedFrameError`. */
  onFrame(frame: Frame): void;
}

/**
 * The connection that this node dials to one peer, for one kind of traffic, again and again until
 * it is closed. All that this node has to say to the peer goes over its own links.
 */
export class Link {
  readonly kind: ConnectionKind;
  readonly #node: NodeId;
  readonly #context: PeerContext;
  readonly #events: LinkEvents;
  /** Undefined while waiting for the next dial, looking up a name, or stopped. */
  #connection: Connection | undefined;
  #life: Life | undefined;
  /** Of the present connection. */
  #proof: PeerProof | undefined;
  #started = false;
  /** Tells a look-up that comes back late from the present attempt. */
  #attempt = 0;
  #looking = false;
  #dialledAtMs = 0;
  #upAtMs = 0;
  /** Connections in a row that broke within `maxBackoffMs`. */
  #shortLives = 0;
  #backoffMs: number;
  #retryTimer: NodeJS.Timeout | undefined;
  #dialTimer: NodeJS.Timeout | undefined;
  dials = 0;

  constructor(node: NodeId, kind: ConnectionKind, context: PeerContext, events: LinkEvents) {
    this.#node = node;
    this.kind = kind;
    this.#context = context;
    this.#events = events;
    this.#backoffMs = context.limits.minBackoffMs;
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  /** Only while up. */
  get outbox(): Outbox | undefined {
    return this.isUp ? this.#connection?.outbox : undefined;
  }

  start(): void {
    this.#started = true;
    this.#dial();
  }

  stop(reason: string): void {
    this.#started = false;
    this.#clearTimers();
    this.#attempt += 1;
    this.#connection?.close(reason);
  }

  /**
   * The peer is known to be there: waiting any longer makes no sense, unless the last connections
   * broke right after their handshake. (Else two nodes that
   * dislike each other's frames would redial each other without a pause.)
   */
  retryNow(): void {
    if (!this.#started || this.isUp || this.#looking) return;
    if (this.#shortLives >= MAX_SHORT_LIVES) return;
    const { deadlines, limits } = this.#context;
    this.#backoffMs = limits.minBackoffMs;
    // A dial under way is most likely about to succeed, unless its first packet was lost.
    const dialledMs = deadlines.nowMs() - this.#dialledAtMs;
    if (this.#connection !== undefined && dialledMs < 2 * limits.minBackoffMs) return;
    this.#connection?.close('dialled anew');
    this.#dial();
  }

  /** Such as when the peer was seen in a later life: what was dialled to the former one is dead. */
  closeUnless(mayStay: (life: Life) => boolean, reason: string): void {
    if (this.#life !== undefined && !mayStay(this.#life)) this.#connection?.close(reason);
  }

  keepAlive(elapsedMs: number): void {
    if (!this.isUp) return;
    this.#connection?.checkSilence(elapsedMs, maxSilenceMs(this.#context.limits, this.kind));
    this.#connection?.ping();
  }

  #dial(): void {
    this.#clearTimers();
    const address = this.#context.addressOf(this.#node);
    if (address === undefined) {
      this.#retryLater();
      return;
    }
    this.dials += 1;
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#looking = true;
    this.#context.resolver.resolve(address.host, (error, host) => {
      this.#looking = false;
      if (attempt !== this.#attempt || !this.#started) return;
      if (error !== undefined) this.#retryLater();
      else this.#connect(address, { host, port: address.port });
    });
  }

  #connect(address: HostPort, literal: HostPort): void {
    const { limits, transport, resolver, identity, writer } = this.#context;
    let connected = false;
    const socket = transport.connect(literal, () => {
      connected = true;
      this.#proof = transport.proofOf(socket);
      if (!this.#isProven(connection)) return;
      const hello = greetingOf(identity, this.#node, this.kind);
      connection.writeNow((frames) => writeGreeting(frames, FrameType.hello, hello));
    });
    const queue = outboxLimits(limits, this.kind);
    const connection = new Connection(socket, writer, queue, limits.maxHandshakeBytes, {
      onFrame: (frame) => this.#received(connection, frame),
      onClosed: (reason, malformed) => {
        if (!connected) {
          resolver.failed(address.host);
          this.#refuse(transport.refusalOf(socket));
        }
        this.#closed(reason, malformed);
      },
    });
    this.#connection = connection;
    this.#dialledAtMs = this.#context.deadlines.nowMs();
    this.#dialTimer = setTimeout(
      () => connection.close('no welcome in time'),
      limits.dialTimeoutMs,
    );
  }

  #received(connection: Connection, frame: Frame): void {
    if (this.isUp) this.#events.onFrame(frame);
    else if (frame.type === FrameType.refusal) this.#refused(connection, readRefusal(frame));
    else if (frame.type === FrameType.welcome) this.#welcomed(connection, readGreeting(frame));
    else throw new MalformedFrameError('no welcome');
  }

  #refused(connection: Connection, refusal: Refusal): void {
    this.#context.refusals.add('out', `node ${this.#node} refuses this node`, refusal);
    this.#context.onRefused(this.#node, refusal);
    this.#backoffMs = this.#context.limits.maxBackoffMs;
    connection.close(refusal.detail);
  }

  #welcomed(connection: Connection, welcome: Greeting): void {
    const { gatekeeper, limits } = this.#context;
    if (welcome.kind !== this.kind) throw new MalformedFrameError('welcome of another kind');
    const refusal = gatekeeper.judge(welcome, this.#proof) ?? this.#wrongNode(welcome);
    if (this.#refuse(refusal)) {
      connection.close(refusal!.detail);
      return;
    }
    gatekeeper.remember(welcome);
    this.#clearTimers();
    this.#upAtMs = this.#context.deadlines.nowMs();
    this.#life = welcome;
    connection.greeted(maxFrameBytes(limits, this.kind));
    // The gatekeeper let it in: there is one.
    this.#events.onUp(connection.outbox, spokenProtocol(welcome)!);
  }

  /** Before a word is said to it. */
  #isProven(connection: Connection): boolean {
    const refusal = this.#context.gatekeeper.judgeProof(this.#node, this.#proof);
    if (!this.#refuse(refusal)) return true;
    connection.close(refusal!.detail);
    return false;
  }

  /** Counts it, and whether there was anything to count. */
  #refuse(refusal: Refusal | undefined): boolean {
    if (refusal === undefined) return false;
    const { limits, refusals } = this.#context;
    refusals.add('out', `who answers at the address of node ${this.#node}`, refusal);
    this.#backoffMs = limits.maxBackoffMs;
    return true;
  }

  #wrongNode(welcome: Greeting): Refusal | undefined {
    if (welcome.node === this.#node) return undefined;
    return { reason: 'wrongAddressee', detail: `is node ${welcome.node}` };
  }

  #closed(reason: string, malformed: boolean): void {
    const wasUp = this.isUp;
    this.#connection = undefined;
    this.#life = undefined;
    this.#clearTimers();
    if (malformed) {
      const what = `closed the connection to node ${this.#node}`;
      this.#context.refusals.add('out', what, { reason: 'malformed', detail: reason });
    }
    if (wasUp) {
      this.#rateLife();
      this.#events.onDown(reason);
    }
    this.#retryLater();
  }

  #rateLife(): void {
    const { deadlines, limits } = this.#context;
    if (deadlines.nowMs() - this.#upAtMs < limits.maxBackoffMs) {
      this.#shortLives += 1;
      return;
    }
    this.#shortLives = 0;
    this.#backoffMs = limits.minBackoffMs;
  }

  #retryLater(): void {
    if (!this.#started || this.#connection !== undefined) return;
    const { maxBackoffMs } = this.#context.limits;
    const delayMs = this.#backoffMs * (0.5 + this.#context.random() / 2);
    this.#backoffMs = Math.min(maxBackoffMs, this.#backoffMs * 2);
    this.#retryTimer = setTimeout(() => this.#dial(), delayMs);
  }

  #clearTimers(): void {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#dialTimer);
  }
}
