/** Starts the app. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { must } from './core/assert.ts';
import { App } from './ui/App.tsx';
import './ui/style.css';

createRoot(must(document.getElementById('root'), 'the root element')).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
