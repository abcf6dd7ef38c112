/** For vitest: every engine and every sentence stands ready before the first test. */
import { loadEngines } from '../core/operations/engines.ts';
import { loadSentences } from '../scene/sentences.ts';

await Promise.all([loadEngines(), loadSentences()]);
