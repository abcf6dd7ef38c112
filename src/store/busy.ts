/** Reasons for which the app is not idle. Apart from the store: a step has several, and no view draws by them. */
let reasons = 0;
const told = new Set<() => void>();

const tell = (): void => {
  told.forEach((listener) => {
    listener();
  });
};

/** Marks the app busy until the returned function is called. */
export function beginBusy(): () => void {
  reasons += 1;
  tell();
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    reasons -= 1;
    tell();
  };
}

export const hasReasons = (): boolean => reasons > 0;

/** Tells whenever the number of reasons changes; returns how to end that. */
export function onReasons(listener: () => void): () => void {
  told.add(listener);
  return () => {
    told.delete(listener);
  };
}
