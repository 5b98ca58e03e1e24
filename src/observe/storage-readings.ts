/** The commit log, the state beside it, checkpoints and snapshots, and the disk under all of it. */
import type { Figures } from './figures.ts';
import type { Reading } from './readings.ts';

function reading(
  name: string,
  help: string,
  type: Reading['type'],
  read: (figures: Figures) => number,
): Reading {
  return { name: `holdfast_${name}`, help, type, read };
}

export const STORAGE_READINGS: readonly Reading[] = [
  reading('log_bytes', 'The commit log on the disk', 'gauge', ({ log }) => log.bytesOnDisk),
  reading('log_segments', 'Its files', 'gauge', ({ log }) => log.segments),
  reading('log_written_bytes_total', 'Written to it', 'counter', ({ log }) => log.writtenBytes),
  reading('log_records_total', 'Records written to it', 'counter', ({ log }) => log.records),
  reading('log_freed_bytes_total', 'Deleted from it', 'counter', ({ log }) => log.freedBytes),
  reading('log_pending_reads', 'Reads of it that wait or run', 'gauge', ({ log }) => {
    return log.pendingReads;
  }),
  reading('state_bytes', 'LevelDB on the disk', 'gauge', ({ disk }) => disk.stateBytes),
  reading('state_batches_total', 'Batches written to it', 'counter', ({ state }) => state.batches),
  reading('state_rows_total', 'Rows in them', 'counter', ({ state }) => state.ops),
  reading('checkpoint_bytes', 'Checkpoints on the disk', 'gauge', ({ disk }) => {
    return disk.checkpointBytes;
  }),
  reading('checkpoints_taken_total', 'Checkpoints taken', 'counter', (figures) => {
    return figures.checkpointsTaken;
  }),
  reading('snapshots_sent_total', 'Snapshots begun to be sent', 'counter', ({ snapshots }) => {
    return snapshots.sent;
  }),
  reading('snapshots_received_total', 'Snapshots received', 'counter', ({ snapshots }) => {
    return snapshots.received;
  }),
  reading('disk_free_bytes', 'Free where the data is', 'gauge', ({ disk }) => disk.freeBytes),
  reading('disk_size_bytes', 'Size of that file system', 'gauge', ({ disk }) => disk.sizeBytes),
];
