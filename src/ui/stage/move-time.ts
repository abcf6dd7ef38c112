/** How long a motion takes, in milliseconds. */
export const MOVE_MS = 220;
