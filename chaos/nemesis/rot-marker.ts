import { cutOf, type FileClass, flipOf } from './rot.ts';

/** Says how far the log was synced, and that it was closed in order. */
const FILES: FileClass = { name: 'marker', folder: 'log', files: /^marker$/ };

export const flipMarker = flipOf(FILES);
export const cutMarker = cutOf(FILES);
