/** What is said when a scenario is opened: by a link, a draft, or the list of all. */
import type { SettingChoices } from '../scenario/ast.ts';
import type { LinkState, Place } from '../scenario/links.ts';
import type { History, Version } from './history.ts';
import type { Original, Run } from './state.ts';

export interface Opening extends Omit<Version, 'versus'>, Pick<LinkState, 'beyond' | 'varied'> {
  readonly original?: Original | undefined;
  readonly versus?: SettingChoices | undefined;
  readonly history?: History;
  readonly at?: Place | undefined;
  /** Check of the shared step. */
  readonly check?: string | undefined;
  readonly linkTrouble?: readonly string[];
  /** Where to stand, and what is to be said of the link, once its text has run; without it, the first step. */
  readonly start?: (run: Run, opening: Opening) => Start;
}

export interface Start {
  readonly cursor: number;
  readonly sentences: readonly string[];
}
