/** For vitest: every engine, every sentence and every meaning stands ready before the first test. */
import '../core/meanings.ts';
import { loadEngines } from '../core/operations/engines.ts';
import { loadSentences } from '../scene/sentences.ts';

await Promise.all([loadEngines(), loadSentences()]);
