//! Whom a search is asked of.

use topology::MemberId;

use super::*;
use crate::routes::PartitionOwner;

/// A registrar that only searches, and answers everything with this error, if any.
#[derive(Default)]
struct Searcher {
    error: Option<ErrorCode>,
    asked: AtomicUsize,
}

fn unused<T>() -> Result<T, Error> {
    Err(Error::new(ErrorCode::Internal, "not in these tests"))
}

#[async_trait]
impl Registrar for Searcher {
    async fn authenticate(&self, _: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        unused()
    }

    async fn register(&self, _: Register) -> Result<Registered, RegisterError> {
        Ok(unused()?)
    }

    async fn unregister(&self, _: Unregister) -> Result<Vec<Binding>, RegisterError> {
        Ok(unused()?)
    }

    async fn lookup(&self, _: &AddressOfRecord, _: Freshness) -> Result<Option<Location>, Error> {
        unused()
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        unused()
    }

    async fn policy(&self, _: &str, _: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        unused()
    }

    async fn search(&self, _: PeopleSearch) -> Result<PeopleFound, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.error {
            Some(code) => Err(Error::new(code, "the test says so")),
            None => Ok(PeopleFound::default()),
        }
    }
}

/// These members, each by the number in its name.
struct Routes(Vec<OwnerMember>, tokio::sync::watch::Sender<u64>);

impl OwnerRoutes for Routes {
    fn owner(&self, _: Partition) -> Option<PartitionOwner> {
        None
    }

    fn members(&self) -> Vec<OwnerMember> {
        self.0.clone()
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.1.subscribe()
    }
}

type Answers = [Option<ErrorCode>];

/// A router over registrars with these answers, of which this process runs the one at `own`.
fn router(answers: &Answers, own: Option<usize>) -> (RoutedRegistrar, Vec<Arc<Searcher>>) {
    let searchers = answers.iter().map(|error| {
        Arc::new(Searcher {
            error: *error,
            asked: AtomicUsize::default(),
        })
    });
    let searchers: Vec<_> = searchers.collect();
    let members = (0..searchers.len()).map(|number| OwnerMember {
        member: MemberId::new(&number.to_string()),
        incarnation: 1,
        address: None,
        is_self: Some(number) == own,
    });
    let over = |members: Vec<OwnerMember>, local, dial: DialRegistrar| {
        let routes = Arc::new(Routes(members, tokio::sync::watch::Sender::new(0)));
        RoutedRegistrar::new(routes, local, dial, TaskTracker::new(), CancellationToken::new())
    };
    let nobody = over(
        Vec::new(),
        None,
        Arc::new(|_| Err(unavailable("nobody is there"))),
    );
    let known = searchers.clone();
    let reach = move |number: usize| LocalRegistrar {
        registrar: RegistrarClient::local(known[number].clone()),
        directory: DirectoryClient::local(Arc::new(nobody.clone())),
    };
    let local = own.map(&reach);
    let dial = Arc::new(move |member: &OwnerMember| Ok(reach(member.member.as_str().parse().unwrap())));
    (over(members.collect(), local, dial), searchers)
}

async fn search(router: &RoutedRegistrar) -> Result<PeopleFound, ErrorCode> {
    let search = PeopleSearch {
        words: "somebody".into(),
        limit: 1,
    };
    router.search(search).await.map_err(|error| error.code)
}

fn asked(searchers: &[Arc<Searcher>]) -> Vec<usize> {
    let asked = |searcher: &Arc<Searcher>| searcher.asked.load(Ordering::Relaxed);
    searchers.iter().map(asked).collect()
}

#[tokio::test]
async fn searches_are_spread_unless_there_is_a_registrar_in_this_process() {
    let (spread, searchers) = router(&[None, None, None], None);
    let (here, own) = router(&[None, None, None], Some(1));
    for _ in 0..6 {
        search(&spread).await.unwrap();
        search(&here).await.unwrap();
    }
    assert_eq!(asked(&searchers), [2, 2, 2]);
    assert_eq!(asked(&own), [0, 6, 0]);
}

#[tokio::test]
async fn a_search_goes_to_the_next_registrar_only_if_one_is_away() {
    let away = Some(ErrorCode::Unavailable);
    let (some, searchers) = router(&[away, away, None], Some(0));
    search(&some).await.unwrap();
    assert_eq!(asked(&searchers)[2], 1);
    let (all, searchers) = router(&[away, away], None);
    assert_eq!(search(&all).await, Err(ErrorCode::Unavailable));
    assert_eq!(asked(&searchers), [1, 1]);
    let (none, _) = router(&[], None);
    assert_eq!(search(&none).await, Err(ErrorCode::Unavailable));
    let (busy, searchers) = router(&[Some(ErrorCode::TooMany), None], Some(0));
    assert_eq!(search(&busy).await, Err(ErrorCode::TooMany));
    assert_eq!(asked(&searchers), [1, 0]);
}
