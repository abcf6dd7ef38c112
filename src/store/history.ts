/**
 * One history of what a person made, for typing and clicking alike: texts with their settings, undone and redone
 * one after another. Pure; bounded in number and in size, the oldest go first.
 */
import { BOUNDS } from '../core/bounds.ts';
import type { SettingChoices } from '../scenario/ast.ts';

export interface Version {
  readonly text: string;
  /** Settings chosen over those of the text. */
  readonly settings: SettingChoices;
  /** Settings of the other run while comparing. */
  readonly versus: SettingChoices | undefined;
}

export interface History {
  /** Oldest first. */
  readonly past: readonly Version[];
  /** Nearest first. */
  readonly future: readonly Version[];
}

export const NO_HISTORY: History = { past: [], future: [] };

/** A new version follows `present`. `merged` makes it part of the last change: keys typed in one go. */
export function remember(history: History, present: Version, { merged }: { merged: boolean }): History {
  if (merged && history.past.length > 0) return { past: history.past, future: [] };
  return { past: bounded([...history.past, present]), future: [] };
}

/** The version before, and the history then; undefined where there is none. */
export function undone(
  history: History,
  present: Version,
): { version: Version; history: History } | undefined {
  const version = history.past.at(-1);
  if (version === undefined) return undefined;
  return { version, history: { past: history.past.slice(0, -1), future: [present, ...history.future] } };
}

export function redone(
  history: History,
  present: Version,
): { version: Version; history: History } | undefined {
  const version = history.future[0];
  if (version === undefined) return undefined;
  return { version, history: { past: bounded([...history.past, present]), future: history.future.slice(1) } };
}

function bounded(past: readonly Version[]): readonly Version[] {
  let size = 0;
  let kept = 0;
  for (const version of [...past].reverse()) {
    size += version.text.length;
    if (kept === BOUNDS.historyVersions || size > BOUNDS.historyCharacters) break;
    kept += 1;
  }
  return past.slice(past.length - kept);
}
