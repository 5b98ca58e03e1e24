import { cutOf, type FileClass, flipOf } from './rot.ts';

const FILES: FileClass = { name: 'sidecar', folder: 'log', files: /\.idx$/ };

export const flipSidecar = flipOf(FILES);
export const cutSidecar = cutOf(FILES);
