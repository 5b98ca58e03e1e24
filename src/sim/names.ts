/** The directories of one simulated disk: names as processes see them, and as the disk has them. */
import type { FileData } from './file-data.ts';
import type { Random } from './random.ts';

interface NameChange {
  readonly number: number;
  readonly directory: string;
  readonly apply: (names: Map<string, FileData>) => void;
}

/** A directory change that nobody synced has reached the disk with this probability. */
const KEEP_CHANGE = 0.5;

export class SimNames {
  #cached = new Map<string, FileData>();
  readonly #durable = new Map<string, FileData>();
  #changes: NameChange[] = [];
  #count = 0;

  /** Counts the changes of all time: what a sync that begins now covers. */
  get changes(): number {
    return this.#count;
  }

  get(name: string): FileData | undefined {
    return this.#cached.get(name);
  }

  /** A power cut leaves it, the same file under the same name. */
  isDurable(name: string): boolean {
    const file = this.#cached.get(name);
    return file !== undefined && this.#durable.get(name) === file;
  }

  in(directory: string): string[] {
    const prefix = `${directory}/`;
    const found = [...this.#cached.keys()].filter(
      (name) => name.startsWith(prefix) && !name.slice(prefix.length).includes('/'),
    );
    return found.map((name) => name.slice(prefix.length)).sort();
  }

  files(): Set<FileData> {
    return new Set(this.#cached.values());
  }

  link(name: string, file: FileData): void {
    this.#change(name, (names) => names.set(name, file));
  }

  unlink(name: string): boolean {
    const isKnown = this.#cached.has(name);
    if (isKnown) this.#change(name, (names) => names.delete(name));
    return isKnown;
  }

  rename(from: string, to: string): boolean {
    const file = this.#cached.get(from);
    if (file === undefined) return false;
    this.#change(to, (names) => {
      names.delete(from);
      names.set(to, file);
    });
    return true;
  }

  sync(directory: string, through: number): void {
    this.#changes = this.#changes.filter((change) => {
      if (change.directory !== directory || change.number > through) return true;
      change.apply(this.#durable);
      return false;
    });
  }

  clear(): void {
    this.#cached.clear();
    this.#durable.clear();
    this.#changes = [];
  }

  powerCut(random: Random): void {
    for (const change of this.#changes) {
      if (random.chance(KEEP_CHANGE)) change.apply(this.#durable);
    }
    this.#changes = [];
    this.#cached = new Map(this.#durable);
  }

  #change(name: string, apply: (names: Map<string, FileData>) => void): void {
    apply(this.#cached);
    this.#count++;
    this.#changes.push({ number: this.#count, directory: directoryOf(name), apply });
  }
}

function directoryOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/'));
}
