/** For vitest: every engine stands ready before the first test. */
import { loadEngines } from '../core/operations/engines.ts';

await loadEngines();
