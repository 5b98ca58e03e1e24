/** Disk and clock of one node that runs with the shim: how they go wrong, and that they did. */
import { mkdirSync } from 'node:fs';
import { shimEnvironment } from './build.ts';
import { ControlPage, type Counters } from './control.ts';
import { cutPower, type Draw, type PowerCut } from './power-cut.ts';

export class NodeDisk {
  /** For the process of the node. */
  readonly environment: Readonly<Record<string, string>>;
  readonly page: ControlPage;
  readonly #data: string;
  readonly #state: string;

  /** The state lies beside the data, on the same file system. */
  constructor(library: string, dataFolder: string, stateFolder: string) {
    mkdirSync(stateFolder, { recursive: true });
    this.#data = dataFolder;
    this.#state = stateFolder;
    this.page = new ControlPage(stateFolder);
    this.environment = shimEnvironment(library, dataFolder, stateFolder);
  }

  get seen(): Counters {
    return this.page.counters();
  }

  /** Both kinds of files were synced under its eyes: what it does not know of is on the disk. */
  get isWatched(): boolean {
    return this.seen.fileSyncs > 0 && this.seen.stdioSyncs > 0;
  }

  /** Only when the process is gone. */
  cutPower(draw: Draw): PowerCut {
    return cutPower(this.#data, this.#state, draw);
  }

  heal(): void {
    this.page.failSyncIn(0);
    this.page.fillDisk('no');
    this.page.failWriteIn(0, []);
    this.page.failReads([]);
    this.page.slowSyncs(0);
    this.page.shiftClock(0);
  }

  close(): void {
    this.page.close();
  }
}
