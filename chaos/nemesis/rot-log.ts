import { cutOf, type FileClass, flipOf } from './rot.ts';

const FILES: FileClass = { name: 'log', folder: 'log', files: /\.log$/ };

export const flipLog = flipOf(FILES);
export const cutLog = cutOf(FILES);
