/**
 * The app's state: scenario text and settings with their history, runs, cursor, playback, selection. Flat and replaced,
 * never mutated; worlds live in the runs' timelines. What can be computed from it is computed, not stored.
 */
import { createStore } from 'zustand/vanilla';
import type { OpenedRecording } from '../conform/opened.ts';
import type { Problem, SettingChoices } from '../scenario/ast.ts';
import type { Varied } from '../scenario/sweep.ts';
import type { ExpectationResult } from '../scenario/expectations.ts';
import type { Plan } from '../scenario/plan.ts';
import type { Cast } from '../scene/cast.ts';
import type { Show } from '../scene/parts.ts';
import type { Comparison } from '../timeline/compare.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { NO_HISTORY, type History } from './history.ts';

/** One scenario under one choice of settings, run to its end. */
export interface Run {
  /** The text that ran: not the one in the editor while that has problems. */
  readonly text: string;
  readonly plan: Plan;
  readonly timeline: Timeline;
  readonly cast: Cast;
  readonly show: Show;
  readonly results: readonly ExpectationResult[];
  /** The recorded program of a real kernel's guest, where it is this that ran, and not the text. */
  readonly recording?: OpenedRecording;
}

export type Theme = 'system' | 'light' | 'dark';
/** What a click can do with one operation of the text. */
export type OperationEdit = 'up' | 'down' | 'disable' | 'enable' | 'delete';
export type Dialog = 'help' | 'share' | 'scenarios' | 'language';

/** A scenario of the catalogue, as it was fetched. */
export interface Original {
  readonly id: string;
  readonly text: string;
  /** The text is that of a recorded program. */
  readonly recording?: OpenedRecording;
}

export interface AppState {
  /** The catalogue's scenario that the text was, before anybody changed it. */
  readonly original: Original | undefined;
  readonly text: string;
  /** Settings chosen over those of the text. */
  readonly settings: SettingChoices;
  /** Settings of the other run while comparing. */
  readonly versus: SettingChoices | undefined;
  readonly history: History;
  /** One run, or two when comparing. */
  readonly runs: readonly Run[];
  /** How the two runs differ. */
  readonly comparison: Comparison | undefined;
  /** The settings that the table of runs varies; undefined while it is not open. */
  readonly varied: readonly Varied[] | undefined;
  /** The position of the first run. */
  readonly cursor: number;
  /** Steps that the other run has taken alone since it came to where the first one stands. */
  readonly beyond: number;
  /**
   * Where panels and timeline stand: they follow the cursor one frame later, so that what a key does is on the stage
   * as soon as can be.
   */
  readonly settled: number;
  /** Where the cursor came from: tells motions their direction. */
  readonly previous: number;
  readonly problems: readonly Problem[];
  /** Sentences about the link that was opened. */
  readonly linkTrouble: readonly string[];
  /** What could still be read of a damaged link's text. */
  readonly linkText: string | undefined;
  /** Something that the browser could not keep, as a sentence. */
  readonly keepTrouble: string | undefined;
  readonly playing: boolean;
  /** Steps a second. */
  readonly speed: number;
  /** The box or row that hover or focus singles out. */
  readonly selected: string | undefined;
  /** The entry or register that is looked into, as the id of its row. */
  readonly inspected: string | undefined;
  readonly theme: Theme;
  readonly stageView: 'picture' | 'text' | 'walk';
  /** The scenario's text as a list to click on, or in the editor. */
  readonly editing: boolean;
  readonly leftOpen: boolean;
  readonly rightOpen: boolean;
  readonly dialog: Dialog | undefined;
  /** The translation bench is open. */
  readonly probing: boolean;
  /** The audit is open. */
  readonly auditing: boolean;
  /** The MMU context is open, on machines that have one. */
  readonly contextOpen: boolean;
  /** The kernel's trace is open, beside a recorded program. */
  readonly traceOpen: boolean;
}

export const START: AppState = {
  original: undefined,
  text: '',
  settings: {},
  versus: undefined,
  history: NO_HISTORY,
  runs: [],
  comparison: undefined,
  varied: undefined,
  cursor: 0,
  beyond: 0,
  settled: 0,
  previous: 0,
  problems: [],
  linkTrouble: [],
  linkText: undefined,
  keepTrouble: undefined,
  playing: false,
  speed: 2,
  selected: undefined,
  inspected: undefined,
  theme: 'system',
  stageView: 'picture',
  editing: false,
  leftOpen: true,
  rightOpen: true,
  dialog: undefined,
  probing: false,
  auditing: false,
  contextOpen: false,
  traceOpen: true,
};

export const store = createStore<AppState>(() => START);

export const select = (selected: string | undefined): void => {
  if (store.getState().selected !== selected) store.setState({ selected });
};

export const set = (
  part: Partial<
    Pick<
      AppState,
      | 'theme'
      | 'stageView'
      | 'editing'
      | 'leftOpen'
      | 'rightOpen'
      | 'dialog'
      | 'probing'
      | 'auditing'
      | 'contextOpen'
      | 'traceOpen'
      | 'speed'
      | 'linkTrouble'
      | 'linkText'
      | 'keepTrouble'
      | 'inspected'
      | 'varied'
    >
  >,
): void => {
  store.setState(part);
};

/** The catalogue's id while the text is as the catalogue has it. */
export const catalogueId = ({ original, text }: Pick<AppState, 'original' | 'text'>): string | undefined =>
  original !== undefined && original.text === text ? original.id : undefined;
