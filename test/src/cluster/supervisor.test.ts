import { describe, expect, it } from 'vitest';
import {
  type ChildEvents,
  DRAIN_TIMEOUT_MS,
  RESTART,
  Supervisor,
  type SupervisorEvent,
} from '../../../src/cluster/supervisor.ts';

/** Processes and time, played by the test. */
class World {
  nowMs = 0;
  readonly launched: number[] = [];
  readonly events: SupervisorEvent[] = [];
  readonly children = new Map<number, ChildEvents>();
  readonly asked: number[] = [];
  readonly killed: number[] = [];
  #timers: { atMs: number; run: () => void }[] = [];
  readonly supervisor: Supervisor;

  constructor(nodes: readonly number[] = [1, 2, 3]) {
    this.supervisor = new Supervisor(nodes, {
      launch: (node, events) => {
        this.launched.push(node);
        this.children.set(node, events);
        return {
          pid: 100 + this.launched.length,
          askToStop: () => this.asked.push(node),
          kill: () => this.killed.push(node),
        };
      },
      nowMs: () => this.nowMs,
      after: (delayMs, run) => {
        const timer = { atMs: this.nowMs + delayMs, run };
        this.#timers.push(timer);
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer);
        };
      },
      onEvent: (event) => this.events.push(event),
    });
    this.supervisor.start();
  }

  serveAll(shards = 2): void {
    for (const child of this.children.values()) child.onMessage({ type: 'serving', shards });
  }

  lead(node: number, shards: readonly number[]): void {
    this.children.get(node)!.onMessage({ type: 'leading', shards });
  }

  die(node: number, byItself = false): void {
    this.children.get(node)!.onExit(byItself ? 'disk full' : 'killed by SIGKILL', byItself);
  }

  pass(ms: number): void {
    this.nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.nowMs);
    for (const { run } of due) run();
  }

  get lastDelayMs(): number | undefined {
    const died = this.events.filter((event) => event.type === 'died');
    return died.at(-1)?.delayMs;
  }
}

describe('ready', () => {
  it('comes once, when all serve and every shard has a leader that may answer', () => {
    const world = new World();
    world.lead(1, [0, 1]);
    expect(world.events).toEqual([]);
    world.serveAll(3);
    expect(world.events).toEqual([]);
    world.lead(2, [2]);
    expect(world.events).toEqual([{ type: 'ready' }]);
    world.lead(2, []);
    world.lead(3, [2]);
    expect(world.events).toHaveLength(1);
  });

  it('does not count what a dead node led', () => {
    const world = new World([1, 2]);
    world.serveAll(2);
    world.lead(1, [0]);
    world.die(1);
    world.pass(RESTART.firstDelayMs);
    world.serveAll(2);
    world.lead(2, [1]);
    expect(world.events.some(({ type }) => type === 'ready')).toBe(false);
  });
});

describe('restart', () => {
  it('a killed node comes back after the first delay, however often', () => {
    const world = new World([1]);
    world.serveAll();
    for (let kill = 0; kill < 5; kill++) {
      world.die(1);
      expect(world.lastDelayMs).toBe(RESTART.firstDelayMs);
      world.pass(RESTART.firstDelayMs);
    }
  });

  it('backs off while a node ends by itself young, up to the most', () => {
    const world = new World([1]);
    world.serveAll();
    const delays: (number | undefined)[] = [];
    for (let death = 0; death < 8; death++) {
      world.die(1, true);
      delays.push(world.lastDelayMs);
      world.pass(RESTART.delayMsMax);
    }
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    expect(world.launched).toHaveLength(9);
    expect(world.supervisor.pidOf(1)).toBe(109);
  });

  it('starts with the first delay again after a long life', () => {
    const world = new World([1]);
    world.serveAll();
    world.die(1, true);
    world.pass(100);
    world.pass(RESTART.youngMs);
    world.die(1, true);
    expect(world.lastDelayMs).toBe(RESTART.firstDelayMs);
  });

  it('a node that ends by itself before it ever served is a failure, not a restart', () => {
    const world = new World();
    world.die(2, true);
    expect(world.events).toEqual([{ type: 'failed', node: 2, reason: 'disk full' }]);
    world.pass(60_000);
    expect(world.launched).toEqual([1, 2, 3]);
  });

  it('a node that once served is restarted however it ended', () => {
    const world = new World();
    world.serveAll();
    world.die(2, true);
    world.pass(100);
    expect(world.launched).toEqual([1, 2, 3, 2]);
  });
});

describe('stop', () => {
  it('asks all, restarts none, and ends with the last', async () => {
    const world = new World();
    world.serveAll();
    world.die(3);
    const stopped = world.supervisor.stop();
    expect(world.asked).toEqual([1, 2]);
    world.pass(RESTART.delayMsMax);
    expect(world.launched).toHaveLength(3);
    world.die(1, true);
    world.die(2, true);
    await stopped;
    expect(world.killed).toEqual([]);
  });

  it('kills who does not end in time', async () => {
    const world = new World([1]);
    const stopped = world.supervisor.stop();
    world.pass(DRAIN_TIMEOUT_MS - 1);
    expect(world.killed).toEqual([]);
    world.pass(1);
    expect(world.killed).toEqual([1]);
    world.die(1);
    await stopped;
  });

  it('resolves at once when nothing runs', async () => {
    await new World([]).supervisor.stop();
  });
});
