/** Changes of single operations of the text, by clicks: loaded when the first one is made. */
import { planScenario } from '../scenario/plan.ts';
import {
  deleteOperation,
  insertMeanwhile,
  insertOperation,
  lineAfter,
  moveOperation,
  operationAtLine,
  operationLines,
  toggleOperation,
  type OperationLines,
} from '../scenario/edits.ts';
import { edit } from './document.ts';
import { store, type OperationEdit } from './state.ts';

const { getState } = store;

/**
 * Adds an operation to the text after the one at the cursor, or a line of another vCPU in the middle of it, and goes to its
 * first step.
 */
export function addOperation(operation: string): Promise<void> {
  const added = withOperation(operation);
  const inside = isMeanwhile(operation) ? operationAtCursor()?.first : undefined;
  return edit(added.text, { goTo: inside ?? added.line });
}

/** What is wrong with an operation that would be added at the cursor; nothing where it is fine. */
export function checkOperation(operation: string): readonly string[] {
  const added = withOperation(operation);
  const planned = planScenario(added.text, getState().settings);
  if (planned.kind === 'ok') return [];
  const last = added.line + operation.split('\n').length - 1;
  return planned.problems
    .filter((problem) => problem.line >= added.line && problem.line <= last)
    .map((problem) => `${problem.message}. ${problem.remedy}`);
}

/** Lines that say what another vCPU does meanwhile. */
const isMeanwhile = (line: string): boolean => /^at\s/.test(line);

function withOperation(operation: string): { readonly text: string; readonly line: number } {
  const { text } = getState();
  const current = operationAtCursor();
  if (current !== undefined && isMeanwhile(operation))
    return insertMeanwhile(text, { operation: current, line: operation });
  const after = current === undefined ? lineAfter(text, '0') : lineAfter(text, current.label ?? '0');
  return insertOperation(text, { after, operation });
}

/** The lines of the operation at the cursor in the text as it is now. */
function operationAtCursor(): OperationLines | undefined {
  const { runs, cursor, text } = getState();
  const run = runs[0];
  if (run === undefined) return undefined;
  const [label] = run.timeline.nameOf(cursor).split('.');
  return operationLines(text).find((operation) => operation.label === label);
}

/** Moves, disables or deletes the operation at the cursor, or the one at a line. */
export function editOperation(how: OperationEdit, line?: number): Promise<void> {
  const { text } = getState();
  const operation = line === undefined ? operationAtCursor() : operationAtLine(text, line);
  if (operation === undefined) return Promise.resolve();
  if (how === 'delete') return edit(deleteOperation(text, operation));
  if (how === 'disable') return edit(toggleOperation(text, operation));
  if (how === 'enable') return edit(toggleOperation(text, operation), { goTo: operation.first });
  const moved = moveOperation(text, { operation, direction: how });
  return moved === undefined ? Promise.resolve() : edit(moved.text, { goTo: moved.line });
}
