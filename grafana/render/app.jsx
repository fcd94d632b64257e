// Draws one dashboard with Grafana's own components. window.PICTURE is what render.py wrote:
// { dashboard, answers: {panel: [series of each query]}, from, to, step } with times in seconds.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { lastValueFrom } from 'rxjs';
import {
  applyFieldOverrides, createDataFrame, createTheme, dateTime, FieldType, getFieldDisplayValues, getValueFormat,
  standardEditorsRegistry, standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry,
  ThemeContext, transformDataFrame,
} from '@grafana/data';
import { BarGauge, BigValue, BigValueColorMode, PanelChrome, Table, TimeSeries, VizRepeater } from '@grafana/ui';

const { dashboard, answers, from, to, step } = window.PICTURE;
const theme = createTheme({ colors: { mode: 'dark' } });
const WIDTH = 1600;
const COLUMN = WIDTH / 24;
const CELL = 38;
const GAP = 8;
const timeRange = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: 'now-6h', to: 'now' } };

// What Grafana registers when it starts.
const known = ['unit', 'min', 'max', 'decimals', 'displayName', 'color', 'thresholds', 'mappings', 'noValue', 'links', 'custom.cellOptions', 'custom.width', 'custom.align'];
const property = (id) => ({
  id, path: id.replace('custom.', ''), isCustom: id.startsWith('custom.'), name: id, category: [], settings: {},
  editor: () => null, override: () => null, process: (value) => value, shouldApply: () => true,
});
standardEditorsRegistry.setInit(() => []);
standardFieldConfigEditorRegistry.setInit(() => known.map(property));
standardTransformersRegistry.setInit(() =>
  [...new Map(Object.values(standardTransformers).map((t) => [t.id, t])).values()].map((t) => ({
    id: t.id, name: t.name, editor: () => null, transformation: async () => t,
  }))
);

const named = (labels, legend) =>
  legend ? legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '') : JSON.stringify(labels);
const number = (text) => (Number.isFinite(+text) ? +text : null);

// The Prometheus data source makes a frame of each series, and a table of each instant query.
const seriesFrames = (target, series) =>
  series.map(({ metric, value, values = [value] }) => {
    const displayNameFromDS = named(metric, target.legendFormat);
    return createDataFrame({
      refId: target.refId,
      name: displayNameFromDS,
      fields: [
        { name: 'Time', type: FieldType.time, config: { interval: 1000 * step }, values: values.map(([at]) => at * 1000) },
        { name: 'Value', type: FieldType.number, labels: metric, config: { displayNameFromDS }, values: values.map(([, v]) => number(v)) },
      ],
    });
  });

const tableFrame = (target, series, alone) => {
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const column = (label) => ({ name: label, type: FieldType.string, config: { filterable: true }, values: series.map((s) => s.metric[label] ?? '') });
  return createDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: series.map(() => to * 1000) },
      ...labels.map(column),
      { name: alone ? 'Value' : `Value #${target.refId}`, type: FieldType.number, config: {}, values: series.map((s) => number(s.value[1])) },
    ],
  });
};

// Gaps are gaps: samples further apart than two steps are not joined by a line.
const withGaps = (frame) => {
  const [time, value] = frame.fields;
  const times = [], values = [];
  time.values.forEach((at, i) => {
    if (i && at - time.values[i - 1] > 2000 * step) {
      times.push(time.values[i - 1] + 1000 * step);
      values.push(null);
    }
    times.push(at);
    values.push(value.values[i]);
  });
  return { ...frame, length: times.length, fields: [{ ...time, values: times }, { ...value, values }] };
};

async function framesOf(panel) {
  const asked = panel.targets.map((target, i) => [target, answers[panel.id][i]]);
  let frames = panel.targets[0].format === 'table'
    ? asked.filter(([, series]) => series.length).map(([target, series]) => tableFrame(target, series, asked.length === 1))
    : asked.flatMap(([target, series]) => seriesFrames(target, series)).map(withGaps);
  if (panel.transformations?.length) {
    frames = await lastValueFrom(transformDataFrame(panel.transformations, frames, { interpolate: (text) => text }));
  }
  const defaults = { ...panel.fieldConfig.defaults, custom: undefined };
  const shown = applyFieldOverrides({
    data: frames, fieldConfig: { ...panel.fieldConfig, defaults }, replaceVariables: (text) => text, theme, timeZone: 'utc',
    fieldConfigRegistry: standardFieldConfigEditorRegistry,
  });
  const custom = panel.fieldConfig.defaults.custom ?? {};
  shown.forEach((frame) => frame.fields.forEach((field) => (field.config.custom = { ...custom, ...field.config.custom })));
  return shown;
}

const Nothing = ({ panel, height }) => (
  <div style={{ height, display: 'flex', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary, fontSize: 18 }}>
    {panel.fieldConfig.defaults.noValue ?? 'No data'}
  </div>
);

const values = (panel, frames, sparkline) =>
  getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text,
    theme, data: frames, timeZone: 'utc', sparkline,
  });

const draw = {
  stat: ({ panel, frames, width, height }) => {
    const [value] = values(panel, frames, true);
    return <BigValue theme={theme} value={value.display} sparkline={value.sparkline} width={width} height={height}
      colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} justifyMode={panel.options.justifyMode} textMode={panel.options.textMode} />;
  },
  timeseries: ({ panel, frames, width, height }) => (
    <TimeSeries frames={frames} width={width} height={height} timeRange={timeRange} timeZone="utc" legend={panel.options.legend} options={panel.options} />
  ),
  bargauge: ({ panel, frames, width, height }) => (
    <VizRepeater source={frames} width={width} height={height} orientation={panel.options.orientation} itemSpacing={8} minVizHeight={16} maxVizHeight={60} minVizWidth={8} autoGrid={true}
      getValues={() => values(panel, frames, false)}
      getAlignmentFactors={(all) => all.reduce((most, v) => ({ title: v.display.title?.length > most.title.length ? v.display.title : most.title, text: v.display.text.length > most.text.length ? v.display.text : most.text }), { title: '', text: '' })}
      renderValue={({ value, width, height, orientation, alignmentFactors }) => (
        <BarGauge theme={theme} value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex)} width={width} height={height} orientation={orientation}
          displayMode={panel.options.displayMode} valueDisplayMode={panel.options.valueMode} showUnfilled={panel.options.showUnfilled} text={panel.options.text} namePlacement={panel.options.namePlacement} alignmentFactors={alignmentFactors} itemSpacing={8} lcdCellWidth={12} />
      )} />
  ),
  table: ({ panel, frames, width, height }) => (
    <Table data={frames[0]} width={width} height={height} ariaLabel={panel.title} timeRange={timeRange} initialSortBy={panel.options?.sortBy} />
  ),
};

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) {
    console.error(`${error.stack ?? error}`);
    return { error };
  }
  render() {
    return this.state.error ? <pre style={{ color: 'red', fontSize: 10, whiteSpace: 'pre-wrap' }}>{String(this.state.error)}</pre> : this.props.children;
  }
}

function Panel({ panel, frames }) {
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute', left: x * COLUMN + GAP / 2, top: y * CELL + GAP / 2 };
  if (panel.type === 'row') {
    return <div style={{ ...place, width: WIDTH - GAP, padding: '8px 4px', fontSize: 16, fontWeight: 500 }}>⌄ {panel.title}</div>;
  }
  const Body = draw[panel.type];
  const empty = !frames.some((frame) => frame.length);
  return (
    <div style={place}>
      <PanelChrome title={panel.title} description={panel.description} width={w * COLUMN - GAP} height={h * CELL - GAP} padding={panel.type === 'table' ? 'none' : 'md'}>
        {(width, height) => (
          <Guard>{empty ? <Nothing panel={panel} height={height} /> : <Body panel={panel} frames={frames} width={width} height={height} />}</Guard>
        )}
      </PanelChrome>
    </div>
  );
}

const chip = { border: `1px solid ${theme.colors.border.medium}`, borderRadius: 2, padding: '5px 10px', marginRight: 8, fontSize: 13 };

function Page({ shown }) {
  const height = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * CELL + GAP;
  return (
    <ThemeContext.Provider value={theme}>
      <div style={{ width: WIDTH, background: theme.colors.background.canvas, color: theme.colors.text.primary, fontFamily: theme.typography.fontFamily, fontSize: 14 }}>
        <div style={{ padding: '12px 8px 4px', fontSize: 20 }}>{dashboard.title}</div>
        <div style={{ padding: '6px 8px 10px', display: 'flex' }}>
          {dashboard.templating.list.map(({ name, label, current }) => (
            <span key={name} style={chip}><span style={{ color: theme.colors.text.secondary, marginRight: 8 }}>{label}</span>{current.text}</span>
          ))}
        </div>
        <div style={{ position: 'relative', width: WIDTH, height }}>
          {dashboard.panels.map((panel) => <Panel key={panel.id} panel={panel} frames={shown[panel.id]} />)}
        </div>
      </div>
    </ThemeContext.Provider>
  );
}

const unknown = dashboard.panels.filter((p) => p.fieldConfig && getValueFormat(p.fieldConfig.defaults.unit) === undefined);
unknown.forEach((p) => console.error(`no such unit: ${p.title}`));
const shown = {};
for (const panel of dashboard.panels.filter((p) => p.type !== 'row')) {
  shown[panel.id] = await framesOf(panel).catch((error) => (console.error(`${panel.title}: ${error.stack}`), []));
}
createRoot(document.getElementById('root')).render(<Page shown={shown} />);
