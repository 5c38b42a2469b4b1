//! A thread that names call sites, so that nobody waits for a file's tables but the story that wants to tell them: while
//! the loop that looks at failures stands still, the evidence of the next one goes away.

use super::{Id, Seen, id};
use crate::limits::read::Root;
use crate::model::{Failure, UserStack};
use std::collections::{HashMap, VecDeque};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc as answers;

/// Longer nobody waits: the file may be on a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers that nobody has asked for yet; of more, the oldest go.
const MOST_KEPT: usize = 1024;

/// What became of a question.
#[derive(Debug)]
enum Answer {
    Asked(Instant),
    Named(Box<UserStack>),
}

/// Names call sites, one after the other.
#[derive(Debug)]
pub struct Namer {
    questions: mpsc::Sender<Seen>,
    named: answers::UnboundedReceiver<(Id, UserStack)>,
    answers: HashMap<Id, Answer>,
    order: VecDeque<Id>,
}

impl Namer {
    /// Starts the thread; it ends when this is dropped, at the next name.
    pub fn start(root: Root) -> std::io::Result<Self> {
        let (questions, asked) = mpsc::channel::<Seen>();
        let (answer, named) = answers::unbounded_channel();
        std::thread::Builder::new().name("diag-names".into()).spawn(move || {
            for seen in asked {
                let id = seen.id;
                if answer.send((id, seen.named(&root))).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, named, answers: HashMap::new(), order: VecDeque::new() })
    }

    /// Asks for the names of a failure's call site.
    pub fn ask(&mut self, seen: Seen) {
        if self.order.len() >= MOST_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
        let id = seen.id;
        if self.questions.send(seen).is_ok() {
            self.answers.insert(id, Answer::Asked(Instant::now()));
            self.order.push_back(id);
        }
    }

    /// Waits for the next answer.
    pub async fn answered(&mut self) {
        match self.named.recv().await {
            Some((id, stack)) => self.take(id, stack),
            // The thread is gone, and says nothing any more.
            None => std::future::pending().await,
        }
    }

    /// Gives a failure its names, and says whether they are still to be waited for.
    pub fn is_waiting_for(&mut self, failure: &mut Failure) -> bool {
        while let Ok((id, stack)) = self.named.try_recv() {
            self.take(id, stack);
        }
        let id = id(failure);
        match self.answers.get(&id) {
            Some(Answer::Asked(since)) if since.elapsed() < PATIENCE => return true,
            None => return false,
            Some(_) => {}
        }
        self.order.retain(|known| *known != id);
        failure.task.stack = Some(match self.answers.remove(&id) {
            Some(Answer::Named(stack)) => stack,
            _ => Box::new(UserStack {
                note: Some(format!("the program's tables could not be read within {} s", PATIENCE.as_secs())),
                ..UserStack::default()
            }),
        });
        false
    }

    fn take(&mut self, id: Id, stack: UserStack) {
        if let Some(answer) = self.answers.get_mut(&id) {
            *answer = Answer::Named(Box::new(stack));
        }
    }
}
