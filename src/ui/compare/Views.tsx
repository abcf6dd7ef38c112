/** Two runs side by side, or a table of many. */
import { suggestVaried, type Varied } from '../../scenario/sweep.ts';
import { compareWith } from '../../store/document.ts';
import { set, store } from '../../store/state.ts';
import { COMPARE } from '../strings-later.ts';

/** The last table, so that one can go to and fro. */
let remembered: readonly Varied[] | undefined;

function openTable(): void {
  const plan = store.getState().runs[0]?.plan;
  set({ varied: remembered ?? (plan === undefined ? [] : suggestVaried(plan)) });
}

function openTwo(): void {
  const { varied, versus } = store.getState();
  remembered = varied;
  set({ varied: undefined });
  if (versus === undefined) void compareWith({});
}

export function Views({ now }: { now: 'two' | 'table' }): React.JSX.Element {
  return (
    <div className="views" role="group" aria-label={COMPARE.views}>
      <button type="button" aria-pressed={now === 'two'} onClick={openTwo}>
        {COMPARE.two}
      </button>
      <button type="button" aria-pressed={now === 'table'} onClick={openTable}>
        {COMPARE.table}
      </button>
    </div>
  );
}
