/** A cluster of real processes, and commands run against it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { HOLDFAST, UpProcess } from '../processes/up-process.ts';

export { freeBasePort } from '../processes/free-ports.ts';
export { HOLDFAST } from '../processes/up-process.ts';

const run = promisify(execFile);

export interface ClusterStatus {
  readonly nodes: readonly { id: number; address: string; pid: number; up: boolean }[];
  readonly shards: readonly {
    id: number;
    leader: number;
    term: number;
    commit_index: number;
    applied_index: number;
  }[];
}

/** Runs one command to its end. */
export async function holdfast(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [HOLDFAST, ...args], {
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}

export class ClusterProcess {
  readonly #up: UpProcess;

  private constructor(up: UpProcess) {
    this.#up = up;
  }

  static async start(
    data: string,
    nodes = 3,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<ClusterProcess> {
    return new ClusterProcess(await UpProcess.start({ data, nodes, environment }));
  }

  get servers(): readonly string[] {
    return this.#up.servers;
  }

  get pid(): number {
    return this.#up.pid;
  }

  async status(): Promise<ClusterStatus> {
    const args = ['cluster', 'status', '--json', '--server', this.servers.join(',')];
    return JSON.parse(await holdfast(...args)) as ClusterStatus;
  }

  /** SIGTERM, as Ctrl-C does; answers the exit code. */
  stop(): Promise<number | null> {
    return this.#up.stop();
  }
}
