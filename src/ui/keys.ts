/** Keys of the whole page. None while typing, in a control that uses them, or in a text twin. */
import { move, set, setPlaying, store, type Move } from '../store/store.ts';

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

const OWN_KEYS = 'input, select, textarea, [contenteditable], .twin, dialog';

export function listenForKeys(): () => void {
  const onKey = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest(OWN_KEYS) !== null && target !== null) return;
    if (event.key === ' ') {
      if (target?.closest('button, a, summary') !== null && target !== null) return;
      setPlaying(!store.getState().playing);
    } else if (event.key === '?') set({ helpOpen: true });
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
