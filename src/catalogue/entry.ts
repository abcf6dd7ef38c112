/** One scenario in the catalogue's index, as the build writes it and the page reads it. */
export interface CatalogueEntry {
  readonly id: string;
  readonly title: string;
  readonly chapter: string;
  /** What one will understand. */
  readonly about: string;
  readonly minutes: number;
  /** Calls and settings that its text names, for the search. */
  readonly words: string;
}

/** One recorded guest program of real kernels. */
export interface RecordedEntry {
  /** Its folder under that of each kernel. */
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** Number of recorded steps. */
  readonly steps: number;
  /** Whether the program was made at random. */
  readonly random: boolean;
  /** Kernels that it ran under, the newest first. */
  readonly kernels: readonly string[];
}
