/**
 * CodeMirror for scenarios: the language's own grammar colours and folds, its own tables complete and explain, and the
 * store's problems are underlined with their remedy. The store holds the text and its history; the editor only shows
 * and changes them, so that typing and clicking are undone alike.
 */
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  type CompletionContext,
  type CompletionResult,
} from '@codemirror/autocomplete';
import { defaultKeymap, indentWithTab, toggleComment } from '@codemirror/commands';
import {
  foldGutter,
  foldKeymap,
  foldService,
  HighlightStyle,
  LanguageSupport,
  LRLanguage,
  syntaxHighlighting,
} from '@codemirror/language';
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from '@codemirror/lint';
import { search, searchKeymap } from '@codemirror/search';
import {
  EditorState,
  StateEffect,
  StateField,
  Transaction,
  type Extension,
  type Text,
} from '@codemirror/state';
import {
  Decoration,
  drawSelection,
  EditorView,
  highlightActiveLine,
  hoverTooltip,
  keymap,
  lineNumbers,
  tooltips,
  type DecorationSet,
} from '@codemirror/view';
import { styleTags, tags } from '@lezer/highlight';
import { explainAt, offersAt, type Offer } from '../../scenario/assist.ts';
import { smallestChange } from '../../scenario/edits.ts';
import { parser } from '../../scenario/syntax.gen.ts';
import type { Problem } from '../../scenario/ast.ts';
import { edit, redo, undo } from '../../store/document.ts';
import { store, type AppState } from '../../store/state.ts';

export interface EditorHandle {
  /** Shows the store's text, problems and current operation. */
  readonly update: (state: AppState) => void;
  readonly destroy: () => void;
}

export function createEditor(host: HTMLElement, label: string): EditorHandle {
  const state = store.getState();
  const view = new EditorView({
    parent: host,
    state: EditorState.create({ doc: state.text, extensions: extensions(label) }),
  });
  let shown: { problems?: AppState['problems']; lines?: string } = {};
  return {
    update: (next) => {
      showText(view, next.text);
      const lines = currentLines(next);
      if (next.problems !== shown.problems)
        view.dispatch(setDiagnostics(view.state, diagnostics(view.state.doc, next.problems)));
      if (lines.join('-') !== shown.lines) view.dispatch({ effects: markLines.of(lines) });
      shown = { problems: next.problems, lines: lines.join('-') };
    },
    destroy: () => {
      view.destroy();
    },
  };
}

/** Puts the store's text in place with the smallest change, so that the cursor stays where it is. */
function showText(view: EditorView, text: string): void {
  const before = view.state.doc.toString();
  if (before === text) return;
  view.dispatch({
    changes: smallestChange(before, text),
    annotations: [Transaction.remote.of(true)],
  });
}

const language = LRLanguage.define({
  name: 'scenario',
  parser: parser.configure({
    props: [
      styleTags({
        Keyword: tags.keyword,
        Operation: tags.operatorKeyword,
        Flag: tags.attributeName,
        Number: tags.number,
        Text: tags.string,
        Comment: tags.lineComment,
        'Arrow Equals': tags.punctuation,
        Atom: tags.name,
      }),
    ],
  }),
  languageData: { commentTokens: { line: '# off:' }, closeBrackets: { brackets: ['"'] } },
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, class: 'tok-keyword' },
  { tag: tags.operatorKeyword, class: 'tok-operation' },
  { tag: tags.attributeName, class: 'tok-flag' },
  { tag: tags.number, class: 'tok-number' },
  { tag: tags.string, class: 'tok-text' },
  { tag: tags.lineComment, class: 'tok-comment' },
  { tag: tags.punctuation, class: 'tok-quiet' },
]);

/** `given` folds to the line before `begin`; a fault handler folds to its last line. */
const folding = foldService.of((state, start) => {
  const line = state.doc.lineAt(start);
  const text = line.text;
  if (/^\s*given\b/.test(text)) return foldTo(state.doc, line.to, (next) => /^\s*begin\b/.test(next));
  if (/^\s*on\b/.test(text)) {
    const indent = text.length - text.trimStart().length;
    return foldTo(
      state.doc,
      line.to,
      (next) => next.trim() !== '' && next.length - next.trimStart().length <= indent,
    );
  }
  return null;
});

function foldTo(
  doc: Text,
  from: number,
  ends: (line: string) => boolean,
): { from: number; to: number } | null {
  let last = doc.lineAt(from);
  for (let number = last.number + 1; number <= doc.lines; number += 1) {
    const line = doc.line(number);
    if (ends(line.text)) break;
    if (line.text.trim() !== '') last = line;
  }
  return last.to > from ? { from, to: last.to } : null;
}

const TYPES: Readonly<Record<Offer['kind'], string>> = {
  word: 'keyword',
  setting: 'property',
  value: 'enum',
  address: 'constant',
  name: 'variable',
};

function complete(context: CompletionContext): CompletionResult | null {
  const { from, offers } = offersAt(context.state.doc.toString(), context.pos);
  if (offers.length === 0 || (from === context.pos && !context.explicit)) return null;
  return {
    from,
    options: offers.map(({ text, meaning, kind }) => ({
      label: text,
      detail: '',
      info: meaning,
      type: TYPES[kind],
    })),
    validFor: /^[^\s"=]*$/,
  };
}

const explain = hoverTooltip((view, offset) => {
  const found = explainAt(view.state.doc.toString(), offset);
  if (found === undefined) return null;
  return {
    pos: found.from,
    end: found.to,
    above: true,
    create: () => {
      const dom = document.createElement('div');
      dom.className = 'cm-explain';
      dom.textContent = found.meaning;
      return { dom };
    },
  };
});

/** Problems without a place are said at the first line. */
function diagnostics(doc: Text, problems: readonly Problem[]): Diagnostic[] {
  return problems.map((problem) => {
    const from = Math.min(problem.span.from, doc.length);
    const to = Math.max(from, Math.min(problem.span.to, doc.length));
    const { fix } = problem;
    return {
      from,
      to,
      severity: 'error',
      message: `${problem.message}. ${problem.remedy}`,
      ...(fix === undefined
        ? {}
        : {
            actions: [
              {
                name: `Write ${fix}`,
                apply: (view: EditorView, start: number, end: number) => {
                  view.dispatch({ changes: { from: start, to: end, insert: fix }, userEvent: 'input.fix' });
                },
              },
            ],
          }),
    };
  });
}

const markLines = StateEffect.define<readonly number[]>();

/** The lines of the operation at the run's cursor. */
const currentOperation = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update: (before, transaction) => {
    const mark = transaction.effects.find((effect) => effect.is(markLines));
    if (mark === undefined) return before.map(transaction.changes);
    const lines = mark.value.filter((line) => line >= 1 && line <= transaction.state.doc.lines);
    return Decoration.set(
      lines.map((line) => Decoration.line({ class: 'cm-now' }).range(transaction.state.doc.line(line).from)),
    );
  },
  provide: (field) => EditorView.decorations.from(field),
});

function currentLines({ runs, cursor, text }: AppState): readonly number[] {
  const run = runs[0];
  if (run === undefined || run.text !== text || cursor <= run.timeline.begin) return [];
  const operation = run.timeline.operationAt(cursor - 1);
  if (operation === undefined || operation.line === 0) return [];
  return Array.from({ length: operation.lastLine - operation.line + 1 }, (_, at) => operation.line + at);
}

const ours = (action: () => Promise<void>) => (): boolean => {
  void action();
  return true;
};

const extensions = (label: string): Extension => [
  lineNumbers(),
  foldGutter(),
  lintGutter(),
  drawSelection(),
  highlightActiveLine(),
  new LanguageSupport(language),
  syntaxHighlighting(colours),
  folding,
  closeBrackets(),
  autocompletion({ override: [complete], icons: false }),
  explain,
  // The panel clips what it holds.
  tooltips({ parent: document.body }),
  search({ top: true }),
  currentOperation,
  EditorView.lineWrapping,
  EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', tabindex: '0' }),
  keymap.of([
    { key: 'Mod-z', run: ours(undo), preventDefault: true },
    { key: 'Mod-y', run: ours(redo), preventDefault: true },
    { key: 'Mod-Shift-z', run: ours(redo), preventDefault: true },
    { key: 'Mod-/', run: toggleComment },
    ...closeBracketsKeymap,
    ...searchKeymap,
    ...foldKeymap,
    ...completionKeymap,
    ...lintKeymap,
    ...defaultKeymap,
    indentWithTab,
  ]),
  EditorView.updateListener.of((update) => {
    if (!update.docChanged) return;
    const remote = update.transactions.some(
      (transaction) => transaction.annotation(Transaction.remote) === true,
    );
    if (remote) return;
    const typing = update.transactions.some(
      (transaction) => transaction.isUserEvent('input.type') || transaction.isUserEvent('delete'),
    );
    void edit(update.state.doc.toString(), { typing });
  }),
];
