/** Keys of the whole page. None while typing, in a control that uses them, or in a text twin. */
import { goToDifference, move, setPlaying, type Move } from '../store/cursor.ts';
import { redo, undo } from '../store/document.ts';
import { set, store } from '../store/state.ts';
import { openSide } from './use-app.ts';

const MOVES: Readonly<Record<string, Move>> = {
  ArrowRight: 'forward',
  PageDown: 'forward',
  ArrowLeft: 'back',
  PageUp: 'back',
  ArrowUp: 'out',
  ArrowDown: 'into',
  ']': 'next-operation',
  '[': 'previous-operation',
  Home: 'home',
  End: 'end',
};

const OWN_KEYS = 'input, select, textarea, [contenteditable], .editor, .twin, dialog[open]';

/** Undo and redo of the text, wherever the focus is, unless a field has its own. */
function travel(event: KeyboardEvent): boolean {
  const key = event.key.toLowerCase();
  if (key === 'z') void (event.shiftKey ? redo() : undo());
  else if (key === 'y') void redo();
  else return false;
  return true;
}

export function listenForKeys(): () => void {
  const onKey = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.altKey) return;
    const element = event.target instanceof Element ? event.target : null;
    // The browser takes the focus out of a dialog that has closed one frame later: until then it stays with its button.
    const target = element?.closest('dialog:not([open])') == null ? element : null;
    if (target?.closest(OWN_KEYS) !== null && target !== null) return;
    if (event.ctrlKey || event.metaKey) {
      if (travel(event)) event.preventDefault();
      return;
    }
    if (event.key === ' ') {
      if (target?.closest('button, a, summary') !== null && target !== null) return;
      setPlaying(!store.getState().playing);
    } else if (event.key === '?') set({ dialog: 'help' });
    else if (event.key === 'd' || event.key === 'D') goToDifference(event.key === 'd' ? 1 : -1);
    else if (event.key === 't') openSide('probing');
    else if (event.key === 'a') openSide('auditing');
    else if (event.key === 'm') openSide('context');
    else if (event.key === 'k') openSide('tracing');
    else {
      const plain = MOVES[event.key];
      if (plain === undefined) return;
      if (event.shiftKey && plain !== 'forward' && plain !== 'back') return;
      move(event.shiftKey ? (plain === 'forward' ? 'over' : 'over-back') : plain);
    }
    event.preventDefault();
  };
  addEventListener('keydown', onKey);
  return () => {
    removeEventListener('keydown', onKey);
  };
}
