import tseslint from 'typescript-eslint';
import reactHooks from 'eslint-plugin-react-hooks';

const htmlFromStrings = [
  { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: 'No HTML from strings.' },
  {
    selector: 'MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML)$/]',
    message: 'No HTML from strings.',
  },
  { selector: "CallExpression[callee.property.name='html']", message: 'No HTML from strings.' },
];
const clockOrChance = [
  {
    selector: "MemberExpression[object.name='Math'][property.name='random']",
    message: 'The model has no randomness.',
  },
  { selector: 'MemberExpression[object.name=/^(Date|performance)$/]', message: 'The model has no clock.' },
  { selector: "NewExpression[callee.name='Date']", message: 'The model has no clock.' },
];

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'node_modules/',
      '**/*.gen.ts',
      'e2e/results/',
      'e2e/shots/',
      '**/*.mjs',
      'eslint.config.js',
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: false }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      'no-restricted-syntax': ['error', ...htmlFromStrings],
    },
  },
  {
    files: ['src/{core,scenario,timeline,scene,trace}/**/*.ts'],
    rules: { 'no-restricted-syntax': ['error', ...htmlFromStrings, ...clockOrChance] },
  },
  {
    files: ['src/**/*.tsx', 'src/ui/**/*.ts'],
    plugins: { 'react-hooks': reactHooks },
    rules: { 'react-hooks/rules-of-hooks': 'error', 'react-hooks/exhaustive-deps': 'error' },
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
);
