/**
 * The ordered set of segments: open descriptors for reading, and removal of the oldest ones. Only a
 * prefix is ever removed: a newer segment may void entries of an older one.
 */
import assert from 'node:assert';
import path from 'node:path';
import { ioError } from './errors.ts';
import type { Done, DoneWith, Files, Handle } from './files.ts';
import type { SegmentIdentity } from './record.ts';
import { segmentName, sidecarName } from './segment.ts';

/** Descriptors kept open for reading sealed segments. */
const MAX_OPEN_SEGMENTS = 64;

export interface Segment extends SegmentIdentity {
  /** Where its records end; for the newest segment, how far they are written. */
  end: number;
  fileBytes: number;
  /** Undefined while nobody reads it. The newest segment's is always open. */
  handle: Handle | undefined;
  readers: number;
  removed: boolean;
}

export class Segments {
  private readonly files: Files;
  private readonly directory: string;
  private readonly list: Segment[];
  private removing = 0;
  private onRemoved: Done | undefined = undefined;

  constructor(files: Files, directory: string, list: Segment[]) {
    this.files = files;
    this.directory = directory;
    this.list = list;
  }

  get count(): number {
    return this.list.length;
  }

  get active(): Segment {
    const last = this.list.at(-1);
    assert(last !== undefined, 'a log has at least one segment');
    return last;
  }

  get oldest(): Segment {
    return this.list[0]!;
  }

  bytes(): number {
    return this.list.reduce((bytes, { fileBytes }) => bytes + fileBytes, 0);
  }

  /** Of the segments from `sequence` on that are written to the end. */
  closedBytesFrom(sequence: number): number {
    const closed = this.list.slice(0, -1).filter((segment) => segment.sequence >= sequence);
    return closed.reduce((bytes, { fileBytes }) => bytes + fileBytes, 0);
  }

  add(segment: Segment): void {
    const last = this.list.at(-1);
    assert(last === undefined || segment.sequence === last.sequence + 1, 'a gap in the segments');
    this.list.push(segment);
  }

  get(sequence: number): Segment | undefined {
    return this.list[sequence - this.oldest.sequence];
  }

  /** Opens the segment if need be and pins it until `release`. May call back at once. */
  acquire(segment: Segment, done: DoneWith<Handle>): void {
    segment.readers += 1;
    if (segment.handle !== undefined) {
      done(null, segment.handle);
      return;
    }
    const file = path.join(this.directory, segmentName(segment.sequence));
    this.files.open(file, 'read', (error, handle) => {
      if (error !== null) {
        segment.readers -= 1;
        return done(ioError('opening', file, error), -1);
      }
      if (segment.handle !== undefined) this.files.close(handle, ignore);
      else segment.handle = handle;
      done(null, segment.handle ?? handle);
    });
  }

  release(segment: Segment): void {
    segment.readers -= 1;
    assert(segment.readers >= 0);
    if (segment.removed) this.closeIfUnused(segment);
    else this.closeSpare();
  }

  /** Unlinks the oldest segment; whoever reads it keeps its descriptor until done. */
  removeOldest(done: Done): number {
    assert(this.list.length > 1, 'the newest segment stays');
    const segment = this.list.shift()!;
    segment.removed = true;
    this.closeIfUnused(segment);
    const file = path.join(this.directory, segmentName(segment.sequence));
    this.removing += 1;
    this.files.unlink(path.join(this.directory, sidecarName(segment.sequence)), () => {
      this.files.unlink(file, (error) => {
        this.removing -= 1;
        done(error === null ? null : ioError('unlink', file, error));
        if (this.removing === 0) this.onRemoved?.(null);
      });
    });
    return segment.fileBytes;
  }

  /** Once no removal is under way: whoever closes the log may then remove its directory. */
  whenRemoved(done: Done): void {
    if (this.removing === 0) done(null);
    else this.onRemoved = done;
  }

  syncDirectory(done: Done): void {
    this.files.syncDirectory(this.directory, (error) =>
      done(error === null ? null : ioError('sync of', this.directory, error)),
    );
  }

  closeAll(): Handle[] {
    const open = this.list.flatMap(({ handle }) => (handle === undefined ? [] : [handle]));
    for (const segment of this.list) segment.handle = undefined;
    return open;
  }

  private closeSpare(): void {
    const open = this.list.filter((each) => each.handle !== undefined);
    if (open.length <= MAX_OPEN_SEGMENTS) return;
    const spare = open.find((each) => each.readers === 0 && each !== this.active);
    if (spare !== undefined) this.closeIfUnused(spare);
  }

  private closeIfUnused(segment: Segment): void {
    if (segment.readers > 0 || segment.handle === undefined) return;
    this.files.close(segment.handle, ignore);
    segment.handle = undefined;
  }
}

/** Closing a read descriptor loses nothing, whatever it answers. */
function ignore(): void {}
