/** What the stage does beside its first picture; fetched after it. */
export { drawNote } from './note.ts';
export { clearMotions, play } from './motions.ts';
export { paintSelection } from './selection.ts';
