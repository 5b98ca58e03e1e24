import type { EntryId } from '../raft/types.ts';

/** Why storage refused or gave up. Callers match on the code, never on the class or the text. */
export type StorageErrorCode =
  /** Bytes that were once known to be on the disk are missing or do not verify. */
  | 'DATA_LOSS'
  /** The entry is below the start of the shard's log. */
  | 'COMPACTED'
  /** The entry is not in the log (past its end, or the shard is unknown). */
  | 'OUT_OF_RANGE'
  /** A bounded queue is full. */
  | 'RESOURCE_EXHAUSTED'
  /** The disk refused an operation; after a write or a sync this ends the process. */
  | 'IO'
  /** The directory belongs to another live process. */
  | 'LOCKED'
  /** Written by a format that this version does not know. */
  | 'UNKNOWN_FORMAT'
  /** The log was closed, or stopped by an earlier failure. */
  | 'CLOSED';

export class StorageError extends Error {
  readonly code: StorageErrorCode;

  constructor(code: StorageErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StorageError';
    this.code = code;
  }
}

/** Bytes of the log are not what they were: said before anything was modified. */
export function lostBytes(what: string): StorageError {
  return new StorageError(
    'DATA_LOSS',
    `${what}. These bytes were known to be on the disk, so the disk has lost or changed them. ` +
      'Nothing was modified. Restore the directory from a copy, or replace this node: remove it ' +
      'from the cluster and add it with an empty directory.',
  );
}

/** `DATA_LOSS` of one entry: a peer that has it can give it again (`repair`). */
export class DamagedEntryError extends StorageError {
  readonly damaged: EntryId;

  constructor(message: string, damaged: EntryId) {
    super('DATA_LOSS', message);
    this.name = 'DamagedEntryError';
    this.damaged = damaged;
  }
}

/** Names what was being done to which file; the system's own text follows. */
export function ioError(action: string, path: string, cause: Error): StorageError {
  return new StorageError('IO', `${action} ${path}: ${cause.message}`, cause);
}
