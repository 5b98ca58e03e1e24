import { cutOf, type FileClass, flipOf } from './rot.ts';

const FILES: FileClass = {
  name: 'state',
  folder: 'state',
  files: /^(?:CURRENT|MANIFEST-.*|.*\.(?:log|ldb))$/,
};

export const flipState = flipOf(FILES);
export const cutState = cutOf(FILES);
