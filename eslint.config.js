import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

const noRawHtml = [
  { selector: 'MemberExpression[property.name=/^(innerHTML|outerHTML)$/]', message: 'Build nodes, never HTML text.' },
  { selector: 'MemberExpression[property.name="insertAdjacentHTML"]', message: 'Build nodes, never HTML text.' },
  { selector: '[name.name="dangerouslySetInnerHTML"]', message: 'Build nodes, never HTML text.' },
  { selector: 'Property[key.name="dangerouslySetInnerHTML"]', message: 'Build nodes, never HTML text.' },
  { selector: 'CallExpression[callee.property.name="html"]', message: 'Use d3 `.text(` or append nodes.' },
];

const noChance = [
  {
    selector: 'MemberExpression[object.name="Math"][property.name="random"]',
    message: 'The model is deterministic: no randomness.',
  },
  {
    selector: 'MemberExpression[object.name="Date"][property.name="now"]',
    message: 'The model is deterministic: no clock.',
  },
  { selector: 'NewExpression[callee.name="Date"]', message: 'The model is deterministic: no clock.' },
  { selector: 'CallExpression[callee.name="Date"]', message: 'The model is deterministic: no clock.' },
  {
    selector: 'MemberExpression[object.name="performance"][property.name="now"]',
    message: 'The model is deterministic: no clock.',
  },
];

export default defineConfig(
  globalIgnores(['dist/', 'e2e/results/', 'e2e/shots/', '**/*.gen.ts']),
  {
    files: ['**/*.{ts,tsx}'],
    extends: [js.configs.recommended, tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'no-restricted-syntax': ['error', ...noRawHtml],
      eqeqeq: 'error',
      'prefer-const': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: 'only-allowed-literals' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['src/{core,timeline,scenario,trace,scene}/**/*.ts'],
    rules: { 'no-restricted-syntax': ['error', ...noRawHtml, ...noChance] },
  },
  { files: ['src/**/*.{ts,tsx}'], ...reactHooks.configs.flat['recommended-latest'] },
  {
    files: ['**/*.{js,mjs}'],
    extends: [js.configs.recommended],
    linterOptions: { reportUnusedDisableDirectives: 'error' },
  },
);
