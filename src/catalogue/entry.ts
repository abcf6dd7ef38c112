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
