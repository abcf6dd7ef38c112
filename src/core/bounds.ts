/**
 * Every bound of the project, in one place. Whoever hits one is told which, by name and number.
 */
export const BOUNDS = {
  stepsPerRun: 1_000_000,
  stepsPerOperation: 20_000,
  /** Faults in a row of one access without any table having changed: rule INV-14. */
  faultsInARow: 8,
  /** Times that a guest's own fault handler may ask to retry one access. */
  handlerRetries: 16,
  operationsPerScenario: 4096,
  scenarioBytes: 64 * 1024,
  linkBytes: 16 * 1024,
  linkUnpackedBytes: 256 * 1024,
  tablesDrawn: 256,
  tlbEntriesDrawn: 12,
  vcpus: 4,
  /** vCPUs that act while another is in the middle of something, one inside the other. */
  nestedChains: 16,
  /** Settings that one table of runs varies, its runs, and the steps of all of them together. */
  variedSettings: 3,
  runsCompared: 32,
  stepsCompared: 2_000_000,
  /** Choices that a text offers beside the settings, and the values of one. */
  ownChoices: 3,
  ownValues: 8,
  /** Differences of two runs that are listed; all can be gone to. */
  differencesListed: 200,
  slotBytes: 1n << 40n,
  changesPerCheckpoint: 16_384,
  /** Versions of a text that can be undone, and their size together. */
  historyVersions: 300,
  historyCharacters: 2_000_000,
  /** Texts of one's own that the browser keeps, and their size together in characters. */
  drafts: 40,
  draftCharacters: 1_500_000,
} as const;

export type BoundName = keyof typeof BOUNDS;

/** Thrown by the recorder when a run may not go on; the runner turns it into a statement about the run. */
export class BoundHit extends Error {
  readonly bound: BoundName;
  constructor(bound: BoundName) {
    super(`the bound ${bound} = ${String(BOUNDS[bound])} is hit`);
    this.name = 'BoundHit';
    this.bound = bound;
  }
}
