/** What follows the next painting. All that wait for it share one frame, because each of them would cost a step's time. */
let waiting: (() => void)[] = [];

const follow = (): void => {
  const now = waiting;
  waiting = [];
  now.forEach((callback) => {
    callback();
  });
};

export function afterPaint(callback: () => void): void {
  waiting.push(callback);
  if (waiting.length > 1) return;
  // A page that is not seen is not painted.
  if (document.hidden) setTimeout(follow, 0);
  else
    requestAnimationFrame(() => {
      setTimeout(follow, 0);
    });
}
