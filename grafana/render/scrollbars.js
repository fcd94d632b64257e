// esbuild gives a module that was once CommonJS a default export that is the whole module; Grafana's table wants the component.
export { Scrollbars as default } from './node_modules/@grafana/ui/node_modules/react-custom-scrollbars-2/lib/index.js';
