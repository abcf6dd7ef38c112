/** The line of the new text that stands for a line of the old one: moved by what was added or removed above it. */
export function lineInNewText(before: string, after: string, line: number): number {
  if (before === after) return line;
  const [old, now] = [before.split('\n'), after.split('\n')];
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head += 1;
  let tail = 0;
  const most = Math.min(old.length, now.length) - head;
  while (tail < most && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail += 1;
  if (line <= head) return line;
  if (line > old.length - tail) return line + now.length - old.length;
  return Math.max(1, Math.min(line, now.length - tail));
}
