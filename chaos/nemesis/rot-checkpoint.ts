import { cutOf, type FileClass, flipOf } from './rot.ts';

const FILES: FileClass = { name: 'checkpoint', folder: 'checkpoints', files: /\.ckpt$/ };

export const flipCheckpoint = flipOf(FILES);
export const cutCheckpoint = cutOf(FILES);
