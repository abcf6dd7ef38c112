/** What all that moves on the stage shares. */

/** How long a motion takes, in milliseconds. */
export const MOVE_MS = 220;

/** Where the picture stands in its window: offset in pixels, and scale. */
export interface Transform {
  readonly x: number;
  readonly y: number;
  readonly k: number;
}
